/** Images of the node: names, pulls, content. */
export {
  builtinImageName,
  defaultAliases,
  type ImageAlias,
  type RegistryMirrors,
} from "./image-aliases.ts";
export type { FoundImage } from "./image-book.ts";
export {
  createImageService,
  type ImageContent,
  type ImageServiceOptions,
  type ImageStore,
  type ListedImage,
  type NodeImages,
} from "./image-service.ts";
export type { ImageConfig } from "./oci-layout.ts";
export { parseReference } from "./reference.ts";
