/** Names over content: takes an image into the store under a name, and reads names back. */
import type { Clock } from "../../common/clock.ts";
import { isSimError, messageOf } from "../../common/errors.ts";
import type { ImageRef } from "../runtime-port.ts";
import type { ContentStore } from "./content-store.ts";
import { imageError } from "./errors.ts";
import type { ImageIndex, NameRow } from "./image-index.ts";
import { readLayout } from "./oci-layout.ts";

export type FoundImage = ImageRef & { readonly substituteReason?: string };

export interface ImageBook {
  /** The name's row, if its content is really here. */
  row(name: string): NameRow | undefined;
  put(name: string, id: string, resolved: string, substituteReason: string | null): NameRow;
  /** Takes the layout's image into the store and names it. */
  take(layout: string, name: string): Promise<NameRow>;
}

export function createImageBook(index: ImageIndex, store: ContentStore, clock: Clock): ImageBook {
  function put(name: string, id: string, resolved: string, reason: string | null): NameRow {
    index.putName({ name, id, resolved, addedAtMs: clock.nowMs(), substituteReason: reason });
    return index.name(name) as NameRow;
  }
  return {
    row(name) {
      const row = index.name(name);
      return row !== undefined && store.has(row.id) ? row : undefined;
    },
    put,
    async take(layout, name) {
      const image = await readLayout(layout).catch((error: unknown) => {
        if (isSimError(error)) throw error;
        throw imageError("IMAGE_INVALID", `the image ${name} cannot be read: ${messageOf(error)}`, {
          cause: error,
        });
      });
      await store.add(image.id, layout);
      index.putImage({
        id: image.id,
        sizeBytes: image.sizeBytes,
        config: JSON.stringify(image.config),
      });
      return put(name, image.id, name, null);
    },
  };
}

export function refOf(requested: string, row: NameRow): FoundImage {
  return {
    requested,
    resolved: row.resolved,
    id: row.id,
    sizeBytes: row.sizeBytes,
    ...(row.substituteReason === null ? {} : { substituteReason: row.substituteReason }),
  };
}
