/** The controllers of the control plane, in the order they start. */
import type { ApiContext } from "../context.ts";
import { createExpiry } from "./expiry.ts";
import { createGarbageCollector } from "./garbage-collector.ts";
import { createNamespaceController } from "./namespace-controller.ts";
import { createNodeLifecycle } from "./node-lifecycle.ts";
import { createScheduler } from "./scheduler.ts";

/** They run until the signal aborts. */
export function runControllers(context: ApiContext, signal: AbortSignal): void {
  for (const controller of [
    createNamespaceController(context),
    createGarbageCollector(context),
    createNodeLifecycle(context),
    createScheduler(context),
    createExpiry(context),
  ]) {
    controller.run(signal);
  }
}
