// Behaviour that users of AMQP 1.0 count on, told by rhea: `rhea_cases.js HOST:PORT [CASE...]`.
// Prints a JSON object: for each case "ok", or what went wrong.
'use strict';

const assert = require('assert');
const rhea = require('rhea');

const [host, port] = process.argv[2].split(':');
const cases = {};
let number = 0;
const fresh = (kind) => `${kind}-${process.pid}-${Date.now()}-${number++}`;

/** Runs until `done` is called, with a connection of its own. */
function play(options, body) {
  return new Promise((resolve, reject) => {
    const container = rhea.create_container();
    const connection = container.connect({ host, port: Number(port), reconnect: false, username: 'guest', password: 'guest', ...options });
    const timer = setTimeout(() => finish(new Error('nothing more came')), 8000);
    function finish(error) {
      clearTimeout(timer);
      connection.removeAllListeners('disconnected');
      connection.close();
      if (error) reject(error);
      else resolve();
    }
    const guard = (f) => (context) => {
      try {
        f(context);
      } catch (error) {
        finish(error);
      }
    };
    connection.on('disconnected', () => finish(new Error('the connection was lost')));
    connection.on('connection_error', (context) => finish(new Error(String(context.connection.error))));
    body(connection, finish, guard, container);
  });
}

cases.a_queue_keeps_what_is_sent = () => play({}, (connection, done, guard) => {
  const queue = fresh('q');
  let accepted = 0;
  const sender = connection.open_sender(queue);
  sender.once('sendable', () => [1, 2, 3].forEach((n) => sender.send({ body: { n } })));
  sender.on('accepted', guard(() => {
    accepted += 1;
    if (accepted === 3) connection.open_receiver(queue);
  }));
  let expected = 1;
  connection.on('message', guard(({ message }) => {
    assert.deepStrictEqual(message.body, { n: expected });
    expected += 1;
    if (expected === 4) done();
  }));
});

cases.properties_and_annotations_come_as_they_were_sent = () => play({}, (connection, done, guard) => {
  const queue = fresh('q');
  const sent = {
    message_id: 'm1',
    user_id: Buffer.from('guest'),
    subject: 's',
    reply_to: 'r',
    correlation_id: 'c',
    content_type: 'application/json',
    group_id: 'g',
    group_sequence: 7,
    application_properties: { text: 'x', number: 5, flag: true, half: 1.5 },
    message_annotations: { 'x-opt-mine': 'a' },
    durable: true,
    priority: 7,
    body: 'hello',
  };
  connection.open_sender(queue).once('sendable', ({ sender }) => sender.send(sent));
  connection.open_receiver(queue);
  connection.on('message', guard(({ message }) => {
    for (const name of Object.keys(sent)) {
      assert.deepStrictEqual(JSON.stringify(message[name]), JSON.stringify(sent[name]), name);
    }
    done();
  }));
});

cases.credit_holds_a_receiver = () => play({}, (connection, done, guard) => {
  const queue = fresh('q');
  let got = 0;
  const sender = connection.open_sender(queue);
  sender.once('sendable', () => { for (let n = 0; n < 10; n += 1) sender.send({ body: n }); });
  const receiver = connection.open_receiver({ source: queue, credit_window: 0 });
  receiver.on('receiver_open', () => receiver.add_credit(2));
  receiver.on('message', guard(() => {
    got += 1;
    if (got === 2) setTimeout(guard(() => { assert.strictEqual(got, 2); receiver.add_credit(3); }), 300);
    if (got === 5) setTimeout(guard(() => { assert.strictEqual(got, 5); done(); }), 300);
  }));
});

cases.a_released_message_comes_again = () => play({}, (connection, done, guard) => {
  const queue = fresh('q');
  const sender = connection.open_sender(queue);
  sender.once('sendable', () => sender.send({ body: 'x' }));
  let times = 0;
  const receiver = connection.open_receiver({ source: queue, autoaccept: false });
  receiver.on('message', guard(({ message, delivery }) => {
    assert.strictEqual(message.body, 'x');
    times += 1;
    if (times === 1) delivery.release({ delivery_failed: false });
    else if (times === 2) delivery.modified({ delivery_failed: true });
    else {
      assert.ok(message.delivery_count >= 1, `count ${message.delivery_count}`);
      delivery.accept();
      setTimeout(guard(() => { assert.strictEqual(times, 3); done(); }), 200);
    }
  }));
});

cases.a_rejected_message_is_gone = () => play({}, (connection, done, guard) => {
  const queue = fresh('q');
  const sender = connection.open_sender(queue);
  sender.once('sendable', () => { sender.send({ body: 'bad' }); sender.send({ body: 'good' }); });
  const got = [];
  const receiver = connection.open_receiver({ source: queue, autoaccept: false });
  receiver.on('message', guard(({ message, delivery }) => {
    got.push(message.body);
    if (message.body === 'bad') delivery.reject({ condition: 'my:reason', description: 'bad' });
    else {
      delivery.accept();
      setTimeout(guard(() => { assert.deepStrictEqual(got, ['bad', 'good']); done(); }), 200);
    }
  }));
});

cases.settled_both_ways = () => play({}, (connection, done, guard) => {
  const queue = fresh('q');
  const sender = connection.open_sender({ target: queue, snd_settle_mode: 1 });
  sender.once('sendable', () => sender.send({ body: 'x' }));
  const receiver = connection.open_receiver({ source: queue, snd_settle_mode: 1, rcv_settle_mode: 0 });
  receiver.on('message', guard(({ delivery }) => {
    assert.ok(delivery.remote_settled);
    done();
  }));
});

cases.a_receiver_that_settles_second = () => play({}, (connection, done, guard) => {
  const queue = fresh('q');
  const sender = connection.open_sender(queue);
  sender.once('sendable', () => sender.send({ body: 'x' }));
  const receiver = connection.open_receiver({ source: queue, rcv_settle_mode: 1, autoaccept: false, autosettle: true });
  receiver.on('message', ({ delivery }) => delivery.update(false, rhea.message.accepted().described()));
  receiver.on('settled', () => done());
});

cases.large_messages_come_in_frames = () => play({ max_frame_size: 4096 }, (connection, done, guard) => {
  const queue = fresh('q');
  const body = 'x'.repeat(150000);
  const sender = connection.open_sender(queue);
  sender.once('sendable', () => sender.send({ body }));
  connection.open_receiver(queue).on('message', guard(({ message }) => {
    assert.strictEqual(message.body, body);
    done();
  }));
});

cases.requests_are_answered_at_a_dynamic_address = () => play({}, (connection, done, guard) => {
  const queue = fresh('service');
  const answers = connection.open_sender({ target: {} });
  connection.open_receiver(queue).on('message', ({ message }) => {
    answers.send({ to: message.reply_to, correlation_id: message.correlation_id, body: message.body.toUpperCase() });
  });
  const replies = connection.open_receiver({ source: { dynamic: true } });
  replies.on('receiver_open', () => {
    const sender = connection.open_sender(queue);
    sender.once('sendable', () => sender.send({ reply_to: replies.source.address, correlation_id: 7, body: 'hello' }));
  });
  replies.on('message', guard(({ message }) => {
    assert.strictEqual(message.correlation_id, 7);
    assert.strictEqual(message.body, 'HELLO');
    done();
  }));
});

cases.a_topic_gives_a_copy_to_each = () => play({}, (connection, done, guard) => {
  const key = fresh('t');
  let opened = 0;
  const got = new Set();
  for (const name of ['a', 'b']) {
    const receiver = connection.open_receiver({ name: `${key}-${name}`, source: `/topic/${key}.#` });
    receiver.on('receiver_open', () => {
      opened += 1;
      if (opened === 2) {
        const sender = connection.open_sender(`/topic/${key}.x`);
        sender.once('sendable', () => sender.send({ body: 'x' }));
      }
    });
    receiver.on('message', () => {
      got.add(name);
      if (got.size === 2) done();
    });
  }
});

cases.an_exchange_is_bound_by_key = () => play({}, (connection, done, guard) => {
  const key = fresh('k');
  const receiver = connection.open_receiver(`/exchange/amq.direct/${key}`);
  receiver.on('receiver_open', () => {
    const other = connection.open_sender(`/exchange/amq.direct/${key}-other`);
    other.once('sendable', () => other.send({ body: 'other' }));
    const sender = connection.open_sender('/exchange/amq.direct');
    sender.once('sendable', () => sender.send({ subject: key, body: 'x' }));
  });
  receiver.on('message', guard(({ message }) => {
    assert.strictEqual(message.body, 'x');
    done();
  }));
});

cases.a_missing_queue_ends_the_link_or_session = () => play({}, (connection, done, guard) => {
  const failed = guard((context) => {
    const error = (context.receiver && context.receiver.error) || (context.session && context.session.error);
    assert.strictEqual(error.condition, 'amqp:not-found');
    done();
  });
  connection.on('receiver_error', failed);
  connection.on('session_error', failed);
  connection.open_receiver(`/amq/queue/${fresh('missing')}`);
});

cases.what_a_closed_link_had_goes_back = () => play({}, (connection, done, guard) => {
  const queue = fresh('q');
  const receiver = connection.open_receiver({ name: 'first', source: queue, autoaccept: false });
  const sender = connection.open_sender(queue);
  sender.once('sendable', () => sender.send({ body: 'x' }));
  receiver.once('message', () => receiver.close());
  receiver.once('receiver_close', () => setTimeout(() => {
    connection.open_receiver({ name: 'second', source: queue }).on('message', guard(({ message }) => {
      assert.strictEqual(message.body, 'x');
      done();
    }));
  }));
});

cases.credit_is_drained = () => play({}, (connection, done, guard) => {
  const queue = fresh('q');
  const receiver = connection.open_receiver({ source: queue, credit_window: 0 });
  receiver.on('receiver_open', () => { receiver.drain = true; receiver.add_credit(5); });
  receiver.on('receiver_drained', guard(() => { assert.strictEqual(receiver.credit, 0); done(); }));
});

cases.thousands_flow = () => play({}, (connection, done, guard) => {
  const queue = fresh('q');
  const all = 3000;
  let sent = 0;
  let got = 0;
  const sender = connection.open_sender(queue);
  sender.on('sendable', () => { while (sender.sendable() && sent < all) { sender.send({ body: sent }); sent += 1; } });
  connection.open_receiver({ source: queue, credit_window: 100 }).on('message', guard(({ message }) => {
    assert.strictEqual(message.body, got);
    got += 1;
    if (got === all) done();
  }));
});

(async () => {
  const wanted = process.argv.slice(3);
  const results = {};
  for (const [name, run] of Object.entries(cases)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    try {
      await run();
      results[name] = 'ok';
    } catch (error) {
      results[name] = String((error && error.message) || error).split('\n')[0];
    }
  }
  console.log(JSON.stringify(results));
  process.exit(0);
})();
