// Order and hand-over along a list, seen by plugins that write down what they are given. What Debian's
// plugins make of it is tested in test/contract/cni-network.test.ts.
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { addAttachment, checkAttachment, deleteAttachment } from "./attachment.ts";
import { parseNetworkList } from "./network-list.ts";

/** Appends to `$0.calls`; answers `answer` on ADD and ends with `code`. */
const recorder = (answer: string, code = 0) => `#!/bin/sh
input=$(cat)
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_NETNS $CNI_IFNAME $CNI_ARGS" >> "$0.calls"
printf '%s\\n' "$input" >> "$0.inputs"
echo "$(basename "$0") $CNI_COMMAND" >> "$(dirname "$0")/order"
[ "$CNI_COMMAND" = ADD ] && printf '%s' '${answer}'
exit ${code}
`;

const first = { cniVersion: "1.0.0", ips: [{ address: "10.1.0.2/24" }] };
const second = { ...first, dns: { nameservers: ["10.1.0.1"] } };

describe("an attachment to a list of plugins", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "cni-"));
    await plugin("one", recorder(JSON.stringify(first)));
    await plugin("two", recorder(JSON.stringify(second)));
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function plugin(name: string, script: string): Promise<void> {
    await writeFile(join(folder, name), script);
    await chmod(join(folder, name), 0o755);
  }
  const lines = async (name: string) =>
    (await readFile(join(folder, name), "utf8")).trim().split("\n");
  const inputs = async (name: string) =>
    (await lines(`${name}.inputs`)).map((line) => JSON.parse(line) as Record<string, unknown>);
  const host = () => ({ binDirs: [join(folder, "missing"), folder] });
  const attachment = (change: object = {}, plugins = [{ type: "one" }, { type: "two" }]) => ({
    list: parseNetworkList(
      JSON.stringify({ cniVersion: "1.0.0", name: "net", plugins, ...change }),
      "test",
    ),
    containerId: "c1",
    netnsPath: "/run/netns/x",
    args: "IgnoreUnknown=1;K8S_POD_NAME=p",
    capabilities: {},
  });

  it("gives each plugin the result of the one before and answers the last", async () => {
    expect(await addAttachment(host(), attachment())).toEqual(second);
    expect(await lines("order")).toEqual(["one ADD", "two ADD"]);
    expect(await lines("one.calls")).toEqual([
      "ADD c1 /run/netns/x eth0 IgnoreUnknown=1;K8S_POD_NAME=p",
    ]);
    expect((await inputs("one"))[0]).not.toHaveProperty("prevResult");
    expect((await inputs("two"))[0]).toMatchObject({ type: "two", prevResult: first });
  });

  it("deletes in reverse, each given the result of ADD", async () => {
    await deleteAttachment(host(), { ...attachment(), result: second });
    expect(await lines("order")).toEqual(["two DEL", "one DEL"]);
    expect((await inputs("one"))[0]).toMatchObject({ prevResult: second });
  });

  it("deletes without a result what was never added, and by rules before 0.4.0", async () => {
    await deleteAttachment(host(), attachment());
    await deleteAttachment(host(), { ...attachment({ cniVersion: "0.3.1" }), result: second });
    for (const input of await inputs("one")) expect(input).not.toHaveProperty("prevResult");
  });

  it("checks in order, unless the list forbids it", async () => {
    await checkAttachment(host(), { ...attachment({ disableCheck: true }), result: second });
    await checkAttachment(host(), { ...attachment({ cniVersion: "0.3.1" }), result: second });
    expect(await readdir(folder)).not.toContain("order");
    await checkAttachment(host(), { ...attachment(), result: second });
    expect(await lines("order")).toEqual(["one CHECK", "two CHECK"]);
  });

  it.each([
    [
      '{"cniVersion":"1.0.0","code":7,"msg":"no mtu","details":"in conf"}',
      'plugin type="two" name="net" failed (add): no mtu; in conf',
    ],
    ["", 'plugin type="two" name="net" failed (add): netplugin failed with no error message: "'],
    ["oops", 'failed (add): netplugin failed but error parsing its diagnostic message "oops"'],
  ])("stops at a plugin that fails with %j, in libcni's words", async (answer, expected) => {
    await plugin("two", recorder(answer, 1));
    const plugins = [{ type: "one" }, { type: "two" }, { type: "one" }];
    await expect(addAttachment(host(), attachment({}, plugins))).rejects.toThrow(expected);
    expect(await lines("order")).toEqual(["one ADD", "two ADD"]);
  });

  it("names a plugin that is not there, and where it was looked for", async () => {
    await expect(addAttachment(host(), attachment({}, [{ type: "three" }]))).rejects.toThrow(
      `failed to find plugin "three" in path [${folder}/missing ${folder}]`,
    );
  });
});
