/** The attachments of this node on disk, one file each: after a kill -9 DEL gets what ADD was given. */
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../../../common/files/atomic-write.ts";
import type { Attachment } from "./attachment.ts";

/** What was attached, and whether the plugins ran in the node's namespace or in katasim's own. */
export type KeptAttachment = Attachment & { readonly inNode: boolean };

export interface AttachmentFiles {
  put(attachment: KeptAttachment): Promise<void>;
  /** Undefined also for a file that cannot be read: nothing is known of it. */
  find(containerId: string): Promise<KeptAttachment | undefined>;
  remove(containerId: string): Promise<void>;
  containerIds(): Promise<readonly string[]>;
}

const ending = ".json";

export function openAttachmentFiles(folder: string): AttachmentFiles {
  const fileOf = (containerId: string) => join(folder, `${containerId}${ending}`);
  return {
    async put(attachment) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      writeFileAtomic(fileOf(attachment.containerId), JSON.stringify(attachment));
    },
    async find(containerId) {
      try {
        return JSON.parse(await readFile(fileOf(containerId), "utf8")) as KeptAttachment;
      } catch {
        return undefined;
      }
    },
    remove: (containerId) => rm(fileOf(containerId), { force: true }),
    async containerIds() {
      const names = await readdir(folder).catch(() => [] as string[]);
      return names
        .filter((name) => name.endsWith(ending))
        .map((name) => name.slice(0, -ending.length));
    },
  };
}
