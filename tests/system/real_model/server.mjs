// OpenAI's chat completions, streamed, by a model in a file: node server.mjs ENGINE MODEL
//
// ENGINE is a folder where npm has installed node-llama-cpp, MODEL a .gguf file. Prints `listening on PORT` once the model is
// loaded. One answer at a time, on one thread, always the most likely words: the same question has the same answer.
// Tools that are offered are passed over; a model of this size cannot use them.

import { createServer } from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

// Tokens that question and answer have together, and the answer alone.
const CONTEXT = 2048;
const ANSWER = 64;
// Largest request.
const MAX_BODY = 1024 * 1024;

const [engine, modelPath] = process.argv.slice(2);
const entry = join(engine, "node_modules/node-llama-cpp/dist/index.js");
const { getLlama, LlamaChatSession } = await import(pathToFileURL(entry));
const llama = await getLlama({ gpu: false, build: "never", maxThreads: 1, logLevel: "error", progressLogs: false });
const model = await llama.loadModel({ modelPath });
const context = await model.createContext({ contextSize: CONTEXT });
const sequence = context.getSequence();

const textOf = (content) =>
  typeof content === "string" ? content : (content ?? []).map((part) => part.text ?? "").join("\n");

const said = ({ role, content }) => {
  const text = textOf(content);
  if (role === "user") return { type: "user", text };
  if (role === "assistant") return { type: "model", response: [text] };
  return { type: "system", text };
};

async function complete({ messages }, tell) {
  const question = messages.at(-1);
  if (question?.role !== "user") throw new Error("the last message is not the user's");
  await sequence.clearHistory();
  const session = new LlamaChatSession({ contextSequence: sequence, autoDisposeSequence: false });
  try {
    session.setChatHistory(messages.slice(0, -1).map(said));
    const options = { temperature: 0, maxTokens: ANSWER, onTextChunk: tell };
    await session.prompt(textOf(question.content), options);
  } finally {
    session.dispose();
  }
}

async function bodyOf(request) {
  let text = "";
  for await (const chunk of request) {
    text += chunk;
    if (text.length > MAX_BODY) throw new Error("the request is too large");
  }
  return JSON.parse(text);
}

async function answer(request, response) {
  const send = (choice) => response.write(`data: ${JSON.stringify({ choices: [{ index: 0, ...choice }] })}\n\n`);
  try {
    const asked = await bodyOf(request);
    response.writeHead(200, { "content-type": "text/event-stream" });
    await complete(asked, (content) => send({ delta: { content }, finish_reason: null }));
    send({ delta: {}, finish_reason: "stop" });
    response.end("data: [DONE]\n\n");
  } catch (error) {
    if (response.headersSent) return response.destroy();
    response.writeHead(400, { "content-type": "application/json" });
    response.end(JSON.stringify({ error: { message: error.message } }));
  }
}

// There is one sequence of tokens for all.
let last = Promise.resolve();
const server = createServer((request, response) => {
  last = last.then(() => answer(request, response));
});
server.listen(0, "127.0.0.1", () => console.log(`listening on ${server.address().port}`));
