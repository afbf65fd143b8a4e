// OPC UA client for tests and benchmarks, independent of the server: reads one JSON job, does its steps, prints a JSON line for each.
"use strict";
const fs = require("fs");
const opcua = require("node-opcua-client");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");

const job = JSON.parse(fs.readFileSync(0, "utf8"));
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const now = () => (performance.timeOrigin + performance.now()) / 1000;

function plain(value) {
  if (value === null || value === undefined) return null;
  if (value instanceof Date) return value.toISOString();
  if (typeof value === "bigint") return Number(value);
  if (Buffer.isBuffer(value)) return value.toString("hex");
  if (value instanceof opcua.NodeId) return value.toString();
  if (value instanceof opcua.Variant) return plain(value.value);
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return Array.from(value, plain);
  if (typeof value === "object") {
    if (typeof value.text === "string") return value.text;
    const found = {};
    for (const name of Object.keys(value)) if (!name.startsWith("_") && name !== "schema") found[name] = plain(value[name]);
    return found;
  }
  return value;
}

const steps = {
  async namespaces(session) {
    return plain((await session.read({ nodeId: "i=2255" })).value);
  },
  async read(session, step) {
    const values = await session.read(step.nodes.map((nodeId) => ({ nodeId })));
    return values.map((one) => ({ value: plain(one.value), status: one.statusCode.name }));
  },
  async write(session, step) {
    const value = { dataType: opcua.DataType[step.type], value: step.value };
    return (await session.write({ nodeId: step.node, attributeId: opcua.AttributeIds.Value, value: { value } })).name;
  },
  async browse(session, step) {
    const found = await session.browse(step.node);
    return found.references.map((one) => [one.browseName.toString(), one.nodeId.toString()]);
  },
  async call(session, step) {
    const inputArguments = [];
    for (const one of step.arguments || []) {
      if (one.structure) {
        const type = opcua.resolveNodeId(one.structure);
        const value = one.value ? await session.constructExtensionObject(type, one.value) : null;
        inputArguments.push({ dataType: opcua.DataType.ExtensionObject, value });
      } else inputArguments.push({ dataType: opcua.DataType[one.type], value: one.value });
    }
    const result = await session.call({ objectId: step.object, methodId: step.method, inputArguments });
    return { status: result.statusCode.name, outputs: (result.outputArguments || []).map((one) => plain(one)) };
  },
  // Values of nodes as they change, with the second of their arrival, for some seconds; with stream, a line for each.
  async subscribe(session, step) {
    const subscription = await session.createSubscription2({
      requestedPublishingInterval: step.interval_ms,
      requestedLifetimeCount: 1000,
      requestedMaxKeepAliveCount: 20,
      maxNotificationsPerPublish: 0,
      publishingEnabled: true,
      priority: 1,
    });
    const changes = [];
    for (const nodeId of step.nodes) {
      const item = await subscription.monitor(
        { nodeId, attributeId: opcua.AttributeIds.Value },
        { samplingInterval: 0, queueSize: 50, discardOldest: true },
        opcua.TimestampsToReturn.Both);
      item.on("changed", (one) => {
        const change = [now(), nodeId, plain(one.value), one.statusCode.name];
        if (step.stream) say({ step: "change", change });
        else changes.push(change);
      });
    }
    say({ step: "subscribed", interval_ms: subscription.publishingInterval });
    await pause(1000 * step.seconds);
    await subscription.terminate();
    return changes;
  },
  // Events of a node, with the second of their arrival, for some seconds.
  async events(session, step) {
    const subscription = await session.createSubscription2({
      requestedPublishingInterval: step.interval_ms,
      requestedLifetimeCount: 1000,
      requestedMaxKeepAliveCount: 20,
      maxNotificationsPerPublish: 0,
      publishingEnabled: true,
      priority: 1,
    });
    const filter = opcua.constructEventFilter(step.fields, step.type ? opcua.ofType(step.type) : undefined);
    const item = await subscription.monitor(
      { nodeId: step.node, attributeId: opcua.AttributeIds.EventNotifier },
      { samplingInterval: 0, queueSize: 50, discardOldest: true, filter },
      opcua.TimestampsToReturn.Both);
    const seen = [];
    item.on("changed", (fields) => seen.push([now(), fields.map((one) => plain(one))]));
    say({ step: "subscribed", interval_ms: subscription.publishingInterval });
    await pause(1000 * step.seconds);
    await subscription.terminate();
    return seen;
  },
  // Wait until a node has a value, for a minute at most: a loaded computer may keep the box silent for a second.
  async until(session, step) {
    for (let n = 0; n < 600; n++) {
      if (plain((await session.read({ nodeId: step.node })).value) === step.value) return true;
      await pause(100);
    }
    return false;
  },
  async wait(_, step) {
    await pause(1000 * step.seconds);
    return null;
  },
};

async function main() {
  const certificates = new OPCUACertificateManager({ rootFolder: job.folder, automaticallyAcceptUnknownCertificate: true });
  await certificates.initialize();
  const client = opcua.OPCUAClient.create({
    applicationName: "EdgeflowTest",
    applicationUri: job.uri,
    clientCertificateManager: certificates,
    certificateFile: job.certificate,
    privateKeyFile: job.key,
    securityMode: opcua.MessageSecurityMode[job.mode || "SignAndEncrypt"],
    securityPolicy: opcua.SecurityPolicy[job.policy || "Basic256Sha256"],
    endpointMustExist: false,
    connectionStrategy: { maxRetry: 0, initialDelay: 100 },
    transportTimeout: job.transport_timeout_ms || 10000,
  });
  await client.connect(job.endpoint);
  const endpoints = await client.getEndpoints();
  say({ step: "endpoints", found: endpoints.map((one) => [one.securityPolicyUri, opcua.MessageSecurityMode[one.securityMode]]) });
  const user = job.user
    ? { type: opcua.UserTokenType.UserName, userName: job.user, password: job.password }
    : { type: opcua.UserTokenType.Anonymous };
  const session = await client.createSession(user);
  for (const step of job.steps) {
    try {
      say({ step: step.do, answer: await steps[step.do](session, step) });
    } catch (error) {
      say({ step: step.do, error: String(error.message) });
    }
  }
  await session.close();
  await client.disconnect();
}

main().then(() => process.exit(0), (error) => {
  say({ step: "failed", error: String(error.message) });
  process.exit(1);
});
