// OpenAI's client for Node: `node openai_client.mjs PACKAGES URL MODEL QUESTION`; prints one JSON object.
import { createRequire } from "node:module";

const [packages, url, model, question] = process.argv.slice(2);
const { OpenAI } = createRequire(`${packages}/`)("openai");

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "open", maxRetries: 0 });
const ask = { model, messages: [{ role: "user", content: question }], temperature: 0, max_tokens: 32 };
const schema = {
  type: "object",
  properties: { city: { enum: ["Lima", "Quito"] } },
  required: ["city"],
  additionalProperties: false,
};

async function failure(call) {
  try {
    await call();
    return [];
  } catch (error) {
    return [error.constructor.name, String(error.code ?? ""), error.message];
  }
}

async function streamed() {
  const parts = [];
  let usage = null;
  const stream = await client.chat.completions.create({
    ...ask,
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const part of stream) {
    parts.push(part.choices[0]?.delta?.content ?? "");
    usage = part.usage ?? usage;
  }
  return { text: parts.join(""), tokens: usage.completion_tokens };
}

async function left() {
  const stream = await client.chat.completions.create({ ...ask, stream: true, max_tokens: 1900, ignore_eos: true });
  for await (const part of stream) {
    stream.controller.abort();
    return part.model;
  }
}

const whole = await client.chat.completions.create(ask);
const structured = await client.chat.completions.create({
  ...ask,
  max_tokens: 64,
  response_format: { type: "json_schema", json_schema: { name: "city", schema } },
});
const called = await client.chat.completions.create({
  ...ask,
  max_tokens: 128,
  tools: [{ type: "function", function: { name: "look_up", parameters: schema } }],
  tool_choice: { type: "function", function: { name: "look_up" } },
});
const responded = await client.responses.create({ model, input: question, temperature: 0, max_output_tokens: 32 });
const models = [];
for await (const listed of client.models.list()) models.push(listed.id);

console.log(
  JSON.stringify({
    whole: whole.choices[0].message.content,
    model: whole.model,
    streamed: await streamed(),
    structured: JSON.parse(structured.choices[0].message.content),
    tool: JSON.parse(called.choices[0].message.tool_calls[0].function.arguments),
    responded: responded.output_text,
    models,
    left: await left(),
    unknown: await failure(() => client.chat.completions.create({ ...ask, model: "nobody" })),
    refused: await failure(() => client.chat.completions.create({ ...ask, max_tokens: 0 })),
    embeddings: await failure(() => client.embeddings.create({ model, input: "x" })),
    timeout: await failure(() => client.chat.completions.create({ ...ask, max_tokens: 1900, ignore_eos: true }, { timeout: 500 })),
  }),
);
