/** The attachments of this node on disk, one file each: after a kill -9 DEL gets what ADD was given. */
import { mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../../../common/files/atomic-write.ts";
import type { Attachment } from "./attachment.ts";

/** What was attached, and whether the plugins ran in the node's namespace or in katasim's own. */
export type KeptAttachment = Attachment & { readonly inNode: boolean };

export interface AttachmentFiles {
  put(sandboxId: string, attachment: KeptAttachment): Promise<void>;
  /** Undefined also for a file that cannot be read: nothing is known of it. */
  find(sandboxId: string): Promise<KeptAttachment | undefined>;
  /** Makes it another sandbox's, in one step. */
  rename(sandboxId: string, other: string): Promise<void>;
  remove(sandboxId: string): Promise<void>;
  sandboxIds(): Promise<readonly string[]>;
}

const ending = ".json";

export function openAttachmentFiles(folder: string): AttachmentFiles {
  const fileOf = (sandboxId: string) => join(folder, `${sandboxId}${ending}`);
  return {
    async put(sandboxId, attachment) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      writeFileAtomic(fileOf(sandboxId), JSON.stringify(attachment));
    },
    async find(sandboxId) {
      try {
        return JSON.parse(await readFile(fileOf(sandboxId), "utf8")) as KeptAttachment;
      } catch {
        return undefined;
      }
    },
    rename: (sandboxId, other) => rename(fileOf(sandboxId), fileOf(other)),
    remove: (sandboxId) => rm(fileOf(sandboxId), { force: true }),
    async sandboxIds() {
      const names = await readdir(folder).catch(() => [] as string[]);
      return names
        .filter((name) => name.endsWith(ending))
        .map((name) => name.slice(0, -ending.length));
    },
  };
}
