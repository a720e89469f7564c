// Preloaded: where a program asks for AMQP's port it gets another, AMQP_PORT.
const net = require('node:net');

const connect = net.connect;
const port = Number(process.env.AMQP_PORT);
net.connect = (first, ...rest) => {
  if (typeof first === 'object' && Number(first.port) === 5672) {
    return connect({ ...first, host: '127.0.0.1', port }, ...rest);
  }
  return connect(Number(first) === 5672 ? port : first, ...rest);
};
