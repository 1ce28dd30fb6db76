/** A pod's volumes. Source: kubernetes pkg/apis/core/validation (ValidateVolumes, validateVolumeSource). */
import { parseNano } from "../../../../common/quantity.ts";
import type {
  DownwardAPIVolumeFile,
  KeyToPath,
  ProjectedVolumeSource,
  Volume,
} from "../../../../proto/kubernetes/gen/types.ts";
import { validateFieldSelector, validateResourceSelector } from "./environment.ts";
import {
  duplicate,
  type FieldError,
  forbidden,
  invalid,
  invalidEach,
  notSupported,
  required,
} from "./field-error.ts";
import { dnsLabel } from "./strings.ts";

const maxMode = 0o777;
const minTokenSeconds = 600;
const maxTokenSeconds = 2 ** 32;

const hostPathTypes = [
  "",
  "BlockDevice",
  "CharDevice",
  "Directory",
  "DirectoryOrCreate",
  "File",
  "FileOrCreate",
  "Socket",
];

const volumeFieldPaths = [
  "metadata.annotations",
  "metadata.labels",
  "metadata.name",
  "metadata.namespace",
  "metadata.uid",
];

/** The volumes that are sound, by name (mounts may refer to those only), and the errors. */
export function validateVolumes(
  volumes: readonly Volume[],
  path: string,
): { sound: Map<string, Volume>; errors: FieldError[] } {
  const sound = new Map<string, Volume>();
  const errors: FieldError[] = [];
  for (const [i, volume] of volumes.entries()) {
    const at = `${path}[${i}]`;
    const found = validateSource(volume, at);
    if (!volume.name) found.push(required(`${at}.name`));
    else found.push(...invalidEach(`${at}.name`, volume.name, dnsLabel(volume.name)));
    if (sound.has(volume.name)) found.push(duplicate(`${at}.name`, volume.name));
    if (found.length === 0) sound.set(volume.name, volume);
    errors.push(...found);
  }
  return { sound, errors };
}

function validateSource(volume: Volume, path: string): FieldError[] {
  const [first, ...others] = Object.keys(volume).filter((key) => key !== "name");
  if (first === undefined) return [required(path, "must specify a volume type")];
  const errors = others.map((type) =>
    forbidden(`${path}.${type}`, "may not specify more than 1 volume type"),
  );
  if (errors.length > 0) return errors;
  const { emptyDir, hostPath, configMap, secret, projected, downwardAPI, nfs } = volume;
  if (emptyDir?.sizeLimit !== undefined && (parseNano(emptyDir.sizeLimit) ?? 0n) < 0n)
    errors.push(
      forbidden(`${path}.emptyDir.sizeLimit`, "SizeLimit field must be a valid resource quantity"),
    );
  if (hostPath) {
    const at = `${path}.hostPath`;
    if (!hostPath.path) errors.push(required(`${at}.path`));
    else {
      errors.push(...noBacksteps(hostPath.path, `${at}.path`));
      if (!hostPathTypes.includes(hostPath.type ?? ""))
        errors.push(notSupported(`${at}.type`, hostPath.type, hostPathTypes));
    }
  }
  if (configMap) {
    if (!configMap.name) errors.push(required(`${path}.configMap.name`));
    errors.push(...validateFiles(configMap, `${path}.configMap`));
  }
  if (secret) {
    if (!secret.secretName) errors.push(required(`${path}.secret.secretName`));
    errors.push(...validateFiles(secret, `${path}.secret`));
  }
  if (downwardAPI) {
    errors.push(...validateMode(downwardAPI.defaultMode, `${path}.downwardAPI.defaultMode`));
    for (const file of downwardAPI.items ?? [])
      errors.push(...validateDownwardFile(file, `${path}.downwardAPI`));
  }
  if (projected) errors.push(...validateProjected(projected, `${path}.projected`));
  if (volume.persistentVolumeClaim && !volume.persistentVolumeClaim.claimName)
    errors.push(required(`${path}.persistentVolumeClaim.claimName`));
  if (nfs) {
    if (!nfs.server) errors.push(required(`${path}.nfs.server`));
    if (!nfs.path) errors.push(required(`${path}.nfs.path`));
    if (!nfs.path?.startsWith("/"))
      errors.push(invalid(`${path}.nfs.path`, nfs.path, "must be an absolute path"));
  }
  return errors;
}

function validateProjected(projected: ProjectedVolumeSource, path: string): FieldError[] {
  const errors = validateMode(projected.defaultMode, `${path}.defaultMode`);
  const taken = new Set<string>();
  const take = (file: string | undefined, value: unknown) => {
    if (!file) return;
    if (taken.has(file)) errors.push(invalid(path, value, "conflicting duplicate paths"));
    taken.add(file);
  };
  for (const [i, source] of (projected.sources ?? []).entries()) {
    const at = `${path}.sources[${i}]`;
    for (const kind of ["secret", "configMap"] as const) {
      const projection = source[kind];
      if (!projection) continue;
      if (!projection.name) errors.push(required(`${at}.${kind}.name`));
      errors.push(...validateItems(projection.items, `${at}.${kind}.items`));
      for (const item of projection.items ?? []) take(item.path, projection.name);
    }
    for (const file of source.downwardAPI?.items ?? []) {
      errors.push(...validateDownwardFile(file, `${at}.downwardAPI`));
      take(file.path, file.path);
    }
    const token = source.serviceAccountToken;
    if (token) {
      const seconds = token.expirationSeconds ?? 3600;
      const field = `${at}.serviceAccountToken.expirationSeconds`;
      if (seconds < minTokenSeconds)
        errors.push(invalid(field, seconds, "may not specify a duration less than 10 minutes"));
      if (seconds > maxTokenSeconds)
        errors.push(invalid(field, seconds, "may not specify a duration larger than 2^32 seconds"));
      if (!token.path) errors.push(required(`${path}.path`));
      else errors.push(...localPath(token.path, `${path}.path`));
    }
    if (Object.keys(source).length > 1)
      errors.push(forbidden(at, "may not specify more than 1 volume type"));
  }
  return errors;
}

function validateFiles(
  source: { readonly defaultMode?: number; readonly items?: readonly KeyToPath[] },
  path: string,
): FieldError[] {
  return [
    ...validateMode(source.defaultMode, `${path}.defaultMode`),
    ...validateItems(source.items, `${path}.items`),
  ];
}

function validateItems(items: readonly KeyToPath[] | undefined, path: string): FieldError[] {
  return (items ?? []).flatMap((item, i) => {
    const at = `${path}[${i}]`;
    return [
      ...(item.key ? [] : [required(`${at}.key`)]),
      ...(item.path ? [] : [required(`${at}.path`)]),
      ...localPath(item.path ?? "", `${at}.path`),
      ...validateMode(item.mode, `${at}.mode`),
    ];
  });
}

function validateDownwardFile(file: DownwardAPIVolumeFile, path: string): FieldError[] {
  const errors: FieldError[] = [];
  if (!file.path) errors.push(required(`${path}.path`));
  errors.push(...localPath(file.path ?? "", `${path}.path`));
  if (file.fieldRef) {
    errors.push(...validateFieldSelector(file.fieldRef, volumeFieldPaths, `${path}.fieldRef`));
    if (file.resourceFieldRef)
      errors.push(
        invalid(
          path,
          "resource",
          "fieldRef and resourceFieldRef can not be specified simultaneously",
        ),
      );
  } else if (file.resourceFieldRef) {
    errors.push(
      ...validateResourceSelector(file.resourceFieldRef, `${path}.resourceFieldRef`, true),
    );
  } else {
    errors.push(required(path, "one of fieldRef and resourceFieldRef is required"));
  }
  return [...errors, ...validateMode(file.mode, `${path}.mode`)];
}

function validateMode(mode: number | undefined, field: string): FieldError[] {
  if (mode === undefined || (mode >= 0 && mode <= maxMode)) return [];
  return [invalid(field, mode, "must be a number between 0 and 0777 (octal), both inclusive")];
}

/** Relative, without steps back. */
export function descendingPath(path: string, field: string): FieldError[] {
  const errors = path.startsWith("/") ? [invalid(field, path, "must be a relative path")] : [];
  return [...errors, ...noBacksteps(path, field)];
}

function localPath(path: string, field: string): FieldError[] {
  const errors = descendingPath(path, field);
  // Names that begin with two dots are the atomic writer's.
  if (path.startsWith("..") && !path.startsWith("../"))
    errors.push(invalid(field, path, "must not start with '..'"));
  return errors;
}

function noBacksteps(path: string, field: string): FieldError[] {
  return path.split("/").includes("..") ? [invalid(field, path, "must not contain '..'")] : [];
}
