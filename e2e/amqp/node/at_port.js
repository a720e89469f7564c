// Preloaded: where a program asks for AMQP's port it gets another, AMQP_PORT.
const net = require('node:net');

const connect = net.connect;
net.connect = (...words) => {
  const [options, ...rest] = words;
  const there = typeof options === 'object' && Number(options.port) === 5672;
  if (!there) return connect(...words);
  return connect({ ...options, host: '127.0.0.1', port: Number(process.env.AMQP_PORT) }, ...rest);
};
