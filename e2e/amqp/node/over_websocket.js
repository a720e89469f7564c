// AMQP 1.0 over WebSocket: URL SUBPROTOCOL. Sends a message to a queue and receives it; prints it as JSON.
const rhea = require('rhea');
const WebSocket = require('ws');

const [url, subprotocol] = process.argv.slice(2);
const connect = rhea.websocket_connect(WebSocket);
const large = 'x'.repeat(100_000);

rhea.on('connection_open', (context) => {
  context.connection.open_receiver('over-websocket');
  context.connection.open_sender('over-websocket');
});
rhea.once('sendable', (context) => {
  context.sender.send({ body: 'hello' });
  context.sender.send({ body: large });
});
const received = [];
rhea.on('message', (context) => {
  received.push(context.message.body);
  if (received.length === 2) context.connection.close();
});
rhea.on('connection_close', () => {
  console.log(JSON.stringify({ received: received[0], whole: received[1] === large }));
});
rhea.on('disconnected', (context) => {
  if (context.error) console.log(JSON.stringify({ error: String(context.error.message || context.error) }));
  process.exit(0);
});
rhea.connect({ connection_details: connect(url, [subprotocol]), reconnect: false });
