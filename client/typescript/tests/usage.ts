// A program as a user writes it. Only a type checker reads it; what must not compile says so.

import {
  CallError,
  ConnectError,
  ERRORS,
  GatewayClient,
  LIMITS,
  METHODS,
  canSign,
  createIdentity,
  memoryTokenStore,
  storedIdentity,
  storedTokens,
} from "../../../generated/typescript/index.js";
import type {
  AgentAccepted,
  AgentFinal,
  CallResult,
  ChatEvent,
  ClientOptions,
  HealthSummary,
  HeartbeatEvent,
  Json,
  Notice,
  Scope,
  Staged,
} from "../../../generated/typescript/index.js";

const options: ClientOptions = {
  url: "ws://127.0.0.1:18789",
  client: { id: "cli", version: "1", platform: "test", mode: "cli" },
  scopes: ["operator.read", "operator.write"],
  tokenStore: memoryTokenStore(),
  reconnect: "always",
  backoff: { firstMs: 5 },
  environment: { WebSocket },
};

export async function program(): Promise<void> {
  if (await canSign()) options.identity = await createIdentity();
  const client = new GatewayClient({ ...options, identity: await storedIdentity(), tokenStore: storedTokens() });
  const hello = await client.connect();
  const methods: string[] = hello.features.methods;

  const health: HealthSummary = await client.call("health");
  await client.call("health", { probe: true }, { timeoutMs: 5 });
  // The gateway takes older forms of a job, too; a program writes the strict one.
  await client.call("cron.update", { id: "j", patch: { enabled: false } });
  // @ts-expect-error: one of the older forms
  await client.call("cron.update", { id: "j", patch: { enabled: "false" } });
  const heartbeat: HeartbeatEvent | null = await client.call("last-heartbeat");
  const staged = await client.call("agent", { message: "hello", idempotencyKey: "k" });
  const first: AgentAccepted | undefined = staged.first;
  const last: AgentFinal = await staged.last;
  const words: string | undefined = last.result.payloads[0]?.text;
  const result: CallResult<"agent"> = staged;
  const same: Staged<AgentAccepted, AgentFinal> = result;

  const end: () => void = client.on("chat", (event, received) => {
    const state: ChatEvent["state"] = event.state;
    const seq: number | undefined = received.seq;
    console.log(state, seq);
  });
  end();
  client.onConnection((notice) => {
    if (notice.kind === "gave-up") console.log(notice.error.isFinal);
    if (notice.kind === "disconnected" && notice.cause.by === "gateway") console.log(notice.cause.code);
  });
  client.onUnknown((event) => console.log(event.name, event.payload));

  for await (const notice of client.notices("agent", "tick")) {
    switch (notice.kind) {
      case "event":
        if (notice.name === "agent") console.log(notice.payload.data.text);
        else console.log(notice.payload.ts);
        break;
      case "gap":
        console.log(notice.expected, notice.received);
        break;
      case "dropped":
        console.log(notice.count);
        break;
    }
  }
  for await (const notice of client.notices()) check(notice);
  await client.close();

  // Everything of the protocol is JSON.
  const json: Json[] = [health, hello, last, heartbeat];
  const scope: Scope | undefined = METHODS["agent.wait"].scopes[0];
  const limit: 524288 = LIMITS.maxPayload;
  console.log(methods, first, words, same, json, scope, limit, ERRORS.pairingRequired.code);
}

function check(notice: Notice): void {
  if (notice.kind === "event" && notice.name === "shutdown") console.log(notice.payload.reason);
}

export function explain(error: unknown): string {
  if (error instanceof ConnectError) return `${error.kind} ${error.requestId ?? ""} ${error.isFinal}`;
  if (error instanceof CallError) return `${error.kind} ${error.method} ${error.outcomeUnknown}`;
  return String(error);
}

export async function mistakes(client: GatewayClient): Promise<void> {
  // @ts-expect-error: no such method
  await client.call("helth");
  // @ts-expect-error: the handshake's own
  await client.call("connect", {});
  // @ts-expect-error: params are wanted
  await client.call("agent");
  // @ts-expect-error: a member is missing
  await client.call("agent", { message: "hello" });
  // @ts-expect-error: no such member
  await client.call("agent.wait", { runId: "r", timeout: 5 });
  // @ts-expect-error: no such event
  client.on("tock", () => {});
  // @ts-expect-error: null is not absence
  await client.call("agent.wait", { runId: "r", timeoutMs: null });
  // @ts-expect-error: not one of the scopes
  options.scopes = ["operator.everything"];
  // @ts-expect-error: constants stay
  LIMITS.maxPayload = 1;
}
