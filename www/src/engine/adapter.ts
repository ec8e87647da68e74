// The adapter's name: wgpu knows only its description, which browsers leave empty.

import type { Device } from "../engine";

interface AdapterInfo { vendor: string; architecture: string; device: string; description: string }
interface Gpu { requestAdapter(options: { powerPreference: "high-performance" }): Promise<{ info: AdapterInfo } | null> }

/** `device` under the name that the browser gives to its adapter. */
export async function nameAdapter(device: Device): Promise<Device> {
  const gpu = (navigator as unknown as { gpu?: Gpu }).gpu;
  if (device.backend !== "webgpu" || !gpu) return device;
  const info = (await gpu.requestAdapter({ powerPreference: "high-performance" }))?.info;
  const told = info ? [info.vendor, info.architecture].filter(Boolean).join(" ") : "";
  return { ...device, name: info?.description || told || device.name || "an adapter without a name" };
}
