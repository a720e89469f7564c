// A client's life with MQTT.js, told as JSON. Arguments: URL, version (4 is 3.1.1), authority's certificate or "".
'use strict'
const fs = require('fs')
const mqtt = require('mqtt')

const [url, version, authority] = process.argv.slice(2)
const id = `js-${process.pid}`
const result = { qos: [] }

function connect(more) {
  const v5 = version === '5'
  const client = mqtt.connect(url, {
    protocolVersion: Number(version),
    reconnectPeriod: 0,
    ca: authority ? fs.readFileSync(authority) : undefined,
    ...(v5 && more.clean === false ? { properties: { sessionExpiryInterval: 60 } } : {}),
    ...more
  })
  client.on('error', (error) => { throw error })
  const messages = []
  const waiting = []
  client.on('message', (topic, payload, packet) => {
    const message = { topic, text: payload.toString(), qos: packet.qos, retain: packet.retain }
    const waiter = waiting.shift()
    if (waiter) waiter(message)
    else messages.push(message)
  })
  client.message = () => messages.length ? messages.shift() : new Promise((resolve) => waiting.push(resolve))
  return new Promise((resolve) => client.on('connect', (connack) => resolve([client, connack])))
}

async function life() {
  const [watcher] = await connect({ clientId: `${id}-watcher` })
  await watcher.subscribeAsync(`life/${id}/will`, { qos: 1 })
  const will = { topic: `life/${id}/will`, payload: 'gone', qos: 1, retain: false }
  const [thing] = await connect({ clientId: id, clean: false, will })
  await thing.subscribeAsync(`life/${id}/in/#`, { qos: 2 })
  for (const qos of [0, 1, 2]) {
    await thing.publishAsync(`life/${id}/in/${qos}`, 'x'.repeat(30000 * qos), { qos })
    const message = await thing.message()
    result.qos.push([message.qos, message.text.length])
  }
  await thing.publishAsync(`life/${id}/last`, 'value', { qos: 1, retain: true })
  await watcher.subscribeAsync(`life/${id}/last`, { qos: 1 })
  const last = await watcher.message()
  result.retained = [last.text, last.retain]
  // Without a good-bye.
  thing.stream.destroy()
  result.will = (await watcher.message()).text
  await watcher.publishAsync(`life/${id}/in/later`, 'kept', { qos: 1 })
  const [again, connack] = await connect({ clientId: id, clean: false })
  result.session = connack.sessionPresent
  result.kept = (await again.message()).text
  await again.endAsync()
  await watcher.endAsync()
  console.log(JSON.stringify(result))
}

setTimeout(() => { console.error('not done in time', JSON.stringify(result)); process.exit(1) }, 20000).unref()
life()
