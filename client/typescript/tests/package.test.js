// The package as a whole: frames against the schema, exports against their declarations.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import * as everything from "../../../generated/typescript/index.js";
import { read, request } from "../../../generated/typescript/wire.js";

const PACKAGE = new URL("../../../generated/typescript/", import.meta.url);
const FRAMES = new URL("../../../schema/groups/frames.json", import.meta.url);

test("frames are read as the schema's examples say", async (t) => {
  const { $defs: definitions } = JSON.parse(await readFile(FRAMES, "utf8"));
  for (const example of definitions.ResponseFrame.examples) {
    await t.test(`response ${example.id}`, () => {
      const { payload = null, ...rest } = example;
      assert.deepEqual(read(JSON.stringify(example)), { ...rest, payload });
    });
  }
  for (const example of definitions.EventFrame.examples) {
    await t.test(`event ${example.event}`, () => {
      const { event: name, payload = null, ...rest } = example;
      assert.deepEqual(read(JSON.stringify(example)), { ...rest, name, payload });
    });
  }
});

test("what is no frame of a gateway is ignored", () => {
  const cases = [
    "",
    "null",
    "[]",
    "{}",
    "5",
    '{"type":"res"}',
    '{"type":"res","id":"1"}',
    '{"type":"res","id":5,"ok":true}',
    '{"type":"event"}',
    '{"type":"event","event":"tick","seq":-1}',
    '{"type":"event","event":"tick","seq":"1"}',
    '{"type":"req","id":"1","method":"health"}',
    '{"type":"later","id":"1","ok":true,"event":"x"}',
    new ArrayBuffer(2),
  ];
  for (const data of cases) assert.equal(read(data), undefined, String(data));
  assert.notEqual(read('{"later":1,"ok":true,"id":"1","type":"res"}'), undefined);
  assert.equal(request("1", "m", {}), '{"type":"req","id":"1","method":"m","params":{}}');
});

test("what is exported is what is declared", async () => {
  const declared = new Set();
  const files = ["index.d.ts", "protocol.d.ts", "methods.d.ts", "events.d.ts"];
  for (const file of files) {
    const text = await readFile(new URL(file, PACKAGE), "utf8");
    for (const [, name] of text.matchAll(/^export declare (?:const|class|function) (\w+)/gm)) declared.add(name);
  }
  assert.deepEqual(Object.keys(everything).sort(), [...declared].sort());
});

test("tables have a row for each declared name", async (t) => {
  const rows = (text, start) => {
    const [, body] = text.split(start);
    return [...body.split("\n}")[0].matchAll(/^  (?:readonly )?"?([\w.-]+)"?: /gm)].map(([, name]) => name);
  };
  const cases = [
    ["methods.d.ts", "export interface Methods {", "METHODS"],
    ["events.d.ts", "export interface Events {", "EVENTS"],
    ...["ROLES", "SCOPES", "ERROR_CODES", "CLOSES", "LIMITS", "ERRORS", "TEXTS"].map((name) => [
      "protocol.d.ts",
      `export declare const ${name}: {`,
      name,
    ]),
  ];
  for (const [file, start, name] of cases) {
    await t.test(name, async () => {
      const text = await readFile(new URL(file, PACKAGE), "utf8");
      const declared = rows(text, start);
      assert.notEqual(declared.length, 0);
      assert.deepEqual(Object.keys(everything[name]), declared);
    });
  }
});

test("the version is that of the project", async () => {
  const { version } = JSON.parse(await readFile(new URL("package.json", PACKAGE), "utf8"));
  const cargo = await readFile(new URL("../../../Cargo.toml", import.meta.url), "utf8");
  assert.ok(cargo.includes(`\nversion = "${version}"\n`), version);
});
