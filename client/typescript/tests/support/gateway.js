// A real gateway in a home of its own.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** What the gateway prints when it can be connected to. */
const LISTENING = /^Gateway listening on (\S+)/;

/** A gateway that can be stopped and started again on its port. */
export class Gateway {
  #binary;
  #home;
  #port;
  #child;

  /** Starts the binary. Use `remove` at the end. */
  static async start(binary) {
    const gateway = new Gateway();
    gateway.#binary = binary;
    gateway.#home = await mkdtemp(join(tmpdir(), "openclaw-typescript-"));
    gateway.#port = await freePort();
    await gateway.start();
    return gateway;
  }

  /** Its address. */
  get url() {
    return `ws://127.0.0.1:${this.#port}`;
  }

  /** The token that its first start made. */
  async token() {
    const config = JSON.parse(await readFile(join(this.#home, ".openclaw", "openclaw.json"), "utf8"));
    return config.gateway.auth.token;
  }

  /** Starts it, and waits until it listens. */
  async start() {
    this.#child = spawn(this.#binary, ["gateway", "--port", String(this.#port)], {
      env: { HOME: this.#home, PATH: "/usr/bin:/bin" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const lines = [];
    for await (const line of createInterface(this.#child.stdout)) {
      lines.push(line);
      if (LISTENING.test(line)) return void this.#child.stdout.resume();
    }
    throw new Error(`the gateway ended before it listened:\n${lines.join("\n")}`);
  }

  /** Stops it as a service manager does, and waits for its end. */
  async stop() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGTERM");
    await once(this.#child, "exit");
  }

  /** Stops it and removes what it wrote. */
  async remove() {
    await this.stop();
    await rm(this.#home, { recursive: true });
  }
}

/** A port that was free a moment ago. */
async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}
