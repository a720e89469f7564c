// One end of a crossing, by AMQP 1.0: `crossing.js ROLE ADDRESS [BODY]`, at AMQP_PORT.
//
// `hear` prints each event as JSON, `answer` answers each request with its body in capitals, `tell` sends one message with a
// content type and a property and waits until it is accepted, `ask` prints the answer that it gets.
const rhea = require('rhea');

const [role, address, body] = process.argv.slice(2);
const container = rhea.create_container();
const text = (message) =>
  message.body && message.body.typecode === 0x75 ? message.body.content.toString() : String(message.body);
const connection = container.connect({ host: '127.0.0.1', port: 5672, reconnect: false });
container.on('disconnected', () => process.exit(1));

if (role === 'hear' || role === 'answer') {
  const replies = connection.open_sender({ target: {} });
  connection.open_receiver(address);
  container.on('receiver_open', () => console.log('ready'));
  container.on('message', ({ message }) => {
    if (role === 'answer') {
      replies.send({
        to: message.reply_to,
        correlation_id: message.correlation_id,
        content_type: 'text/plain',
        body: rhea.message.data_section(Buffer.from(text(message).toUpperCase())),
      });
      return;
    }
    console.log(
      JSON.stringify({
        // A message that says nowhere where it is for has that from the node.
        key: message.to ?? message.message_annotations?.['x-opt-address'],
        body: text(message),
        type: message.content_type ?? null,
        headers: message.application_properties ?? {},
      }),
    );
  });
} else if (role === 'tell') {
  const sender = connection.open_sender(address);
  container.once('sendable', () =>
    sender.send({
      content_type: 'text/plain',
      application_properties: { colour: 'red' },
      body: rhea.message.data_section(Buffer.from(body)),
    }),
  );
  container.on('accepted', () => {
    console.log(JSON.stringify({ told: true }));
    process.exit(0);
  });
} else {
  const receiver = connection.open_receiver({ source: { dynamic: true } });
  const sender = connection.open_sender(address);
  container.once('receiver_open', () => {
    const send = () => sender.send({ reply_to: receiver.source.address, correlation_id: 'c-1', body });
    if (sender.sendable()) send();
    else container.once('sendable', send);
  });
  container.on('message', ({ message }) => {
    console.log(JSON.stringify({ answer: text(message), same: message.correlation_id === 'c-1' }));
    process.exit(0);
  });
}
