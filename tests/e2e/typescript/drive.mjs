// Drives an MCP server with an official TypeScript client and writes one JSON transcript to stdout.
//
//   node drive.mjs <url> <legacy|modern|sdk1> [--token T] [--calls '[["tool",{"argument":1}],…]']
//
// legacy and modern use @modelcontextprotocol/client (2025-11-25 handshake; 2026-07-28 pinned),
// sdk1 uses @modelcontextprotocol/sdk. What changes from run to run (session id, request ids) is
// left out, so two runs against one server are byte-equal. Judges nothing: a refusal is written
// down like an answer. Exits 1 when it cannot connect, 2 when it is called wrongly.

import { parseArgs } from "node:util";

const DEFAULT_CALLS = [
  ["read_invoice", { invoice_id: "INV-1001" }],
  ["read_invoice", { invoice_id: "INV-9999" }],
  ["no_such_tool", {}],
  ["export_invoices", { count: 3 }],
];
const MODERN = "2026-07-28";
const IDENTITY = { name: "bailiwick-e2e", version: "1.0.0" };

const SDKS = {
  legacy: () => current({ mode: "legacy" }),
  modern: () => current({ mode: { pin: MODERN } }),
  sdk1: async () => {
    const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
    const { StreamableHTTPClientTransport } = await import(
      "@modelcontextprotocol/sdk/client/streamableHttp.js"
    );
    return { client: new Client(IDENTITY), Transport: StreamableHTTPClientTransport };
  },
};

async function current(versionNegotiation) {
  const { Client, StreamableHTTPClientTransport } = await import("@modelcontextprotocol/client");
  const client = new Client(IDENTITY, { versionNegotiation });
  return { client, Transport: StreamableHTTPClientTransport };
}

// A refusal, an HTTP error and a timeout come out alike: a stable code, a message, maybe data.
async function outcome(promise) {
  try {
    return { result: await promise };
  } catch (error) {
    const { code = error.constructor.name, message, data } = error;
    return { error: { code, message, ...(data === undefined ? {} : { data }) } };
  }
}

async function call(client, mode, [name, args]) {
  const progress = [];
  const options = { onprogress: (update) => progress.push(update) };
  const params = { name, arguments: args };
  const running =
    mode === "sdk1" ? client.callTool(params, undefined, options) : client.callTool(params, options);
  return { tool: name, arguments: args, ...(await outcome(running)), progress };
}

async function converse(client, transport, mode, calls) {
  const transcript = { protocolVersion: transport.protocolVersion ?? null };
  if (calls === undefined) {
    transcript.serverInfo = client.getServerVersion() ?? null;
    transcript.capabilities = client.getServerCapabilities() ?? null;
    transcript.instructions = client.getInstructions() ?? null;
    transcript.tools = await outcome(client.listTools());
    if (mode !== "modern") transcript.ping = await outcome(client.ping());
  }
  transcript.calls = [];
  for (const each of calls ?? DEFAULT_CALLS) {
    transcript.calls.push(await call(client, mode, each));
  }
  if (mode !== "modern") transcript.ended = await outcome(transport.terminateSession());
  return transcript;
}

async function main() {
  const { values, positionals } = parseArgs({
    options: { token: { type: "string" }, calls: { type: "string" } },
    allowPositionals: true,
  });
  const [url, mode] = positionals;
  if (positionals.length !== 2 || !Object.hasOwn(SDKS, mode)) {
    console.error("usage: drive.mjs <url> <legacy|modern|sdk1> [--token T] [--calls JSON]");
    return 2;
  }
  const headers = values.token ? { Authorization: `Bearer ${values.token}` } : {};
  const { client, Transport } = await SDKS[mode]();
  const transport = new Transport(new URL(url), { requestInit: { headers } });
  try {
    await client.connect(transport);
  } catch (error) {
    const code = error.code ?? error.constructor.name;
    console.error(`cannot connect to ${url}: ${code}: ${error.message}`);
    return 1;
  }
  const calls = values.calls === undefined ? undefined : JSON.parse(values.calls);
  const transcript = await converse(client, transport, mode, calls);
  await client.close();
  process.stdout.write(JSON.stringify(transcript, null, 2) + "\n");
  return 0;
}

process.exitCode = await main();
