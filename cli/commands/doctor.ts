/** `katasim doctor`: does this machine have what is needed, and what mends it. */
import type { Command } from "commander";
import { cliObject } from "../output/objects.ts";
import { type Bind, withOutput } from "../program.ts";
import { readRememberedSettings, resolveSettings } from "../settings.ts";

export function addDoctor(program: Command, bind: Bind): void {
  const command = withOutput(program.command("doctor")).description(
    "check this machine and say how to mend what is missing",
  );
  bind(command, async (context) => {
    const settings = resolveSettings({}, context.env, await readRememberedSettings(context.paths));
    const { checkAll } = await import("../doctor/checks.ts");
    const results = await checkAll(context.paths, settings, context.env);
    const broken = results.filter((result) => result.state === "failed").length;
    const { green, yellow, red } = context.colors;
    const marks = {
      ok: green("ok     "),
      absent: "absent ",
      warning: yellow("warning"),
      failed: red("FAILED "),
    };
    context.printObject(cliObject("Doctor", { ok: broken === 0, checks: results }), () =>
      results
        .map(
          ({ state, id, message, fix }) =>
            `${marks[state]}  ${id}: ${message}\n${fix === undefined ? "" : `         try: ${fix}\n`}`,
        )
        .join(""),
    );
    if (broken > 0) context.say(`${broken} of ${results.length} checks failed`);
    return broken > 0 ? 3 : 0;
  });
}
