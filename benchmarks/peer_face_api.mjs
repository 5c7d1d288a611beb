// Answer for faces with `@vladmandic/face-api`; runs where its packages were installed.
//
// Usage: node peer_face_api.mjs SIDE CROP, see `peers.py` for the exchange.

import { createRequire } from "node:module";
import { dirname, join } from "node:path";

// Libraries greet on the console; standard output carries only the answers.
console.log = console.info = console.warn = console.error;

const require = createRequire(join(process.cwd(), "package.json"));
const tf = require("@tensorflow/tfjs");
const wasm = require("@tensorflow/tfjs-backend-wasm");
const api = require("@vladmandic/face-api/dist/face-api.node-wasm.js");

const side = Number(process.argv[2]);
const margin = Math.round((side * (1 - Number(process.argv[3]))) / 2);
const inner = side - 2 * margin;

wasm.setWasmPaths(dirname(require.resolve("@tensorflow/tfjs-backend-wasm/package.json")) + "/dist/");
await tf.setBackend("wasm");
await tf.ready();
const packageFolder = dirname(require.resolve("@vladmandic/face-api/package.json"));
await api.nets.ageGenderNet.loadFromDisk(join(packageFolder, "model"));

async function answer(pixels) {
  const started = performance.now();
  const chip = tf.tensor3d(pixels, [side, side, 3], "int32");
  const face = tf.slice(chip, [margin, margin, 0], [inner, inner, 3]);
  const { age, gender, genderProbability } = await api.nets.ageGenderNet.predictAgeAndGender(face);
  tf.dispose([chip, face]);
  return {
    age,
    gender,
    p_female: gender === "female" ? genderProbability : 1 - genderProbability,
    ms: performance.now() - started,
  };
}

const faceBytes = side * side * 3;
let pending = Buffer.alloc(0);
for await (const chunk of process.stdin) {
  pending = Buffer.concat([pending, chunk]);
  while (pending.length >= faceBytes) {
    const reply = await answer(new Uint8Array(pending.subarray(0, faceBytes)));
    pending = pending.subarray(faceBytes);
    process.stdout.write(JSON.stringify(reply) + "\n");
  }
}
