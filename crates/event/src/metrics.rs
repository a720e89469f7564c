//! Names of metrics, in one place: code, dashboards and documentation agree.

/// Events received, by `listener`, `protocol`.
pub const EVENTS_IN: &str = "windrose_events_in";
/// Events settled with their senders, by `listener`, `protocol`, `outcome`.
pub const EVENTS_SETTLED: &str = "windrose_events_settled";
/// Events delivered to subscribers, by `listener`, `protocol`, `outcome`.
pub const EVENTS_OUT: &str = "windrose_events_out";
/// Events that a route took, by `route`, `outcome`.
pub const ROUTE_EVENTS: &str = "windrose_route_events";
/// Attempts at delivery to a pool, by `pool`, `member`, `outcome`.
pub const POOL_ATTEMPTS: &str = "windrose_pool_attempts";
/// Events that wait for a pool or are at a member, by `pool`: credit in use.
pub const POOL_CREDIT_USED: &str = "windrose_pool_credit_used";
/// Events that a pool takes before it brakes its senders, by `pool`.
pub const POOL_CREDIT_LIMIT: &str = "windrose_pool_credit_limit";
/// Events dropped, by `cause`.
pub const EVENTS_DROPPED: &str = "windrose_events_dropped";
/// Connections open now, by `listener`, `protocol`.
pub const CONNECTIONS: &str = "windrose_connections";
/// Connections accepted since the start, by `listener`, `protocol`.
pub const CONNECTIONS_OPENED: &str = "windrose_connections_opened";
/// Connections refused, by `listener`, `cause`.
pub const CONNECTIONS_REFUSED: &str = "windrose_connections_refused";
/// Connections closed, by `listener`, `cause`.
pub const CONNECTIONS_CLOSED: &str = "windrose_connections_closed";
/// Connections braked for want of credit now.
pub const CONNECTIONS_PAUSED: &str = "windrose_connections_paused";
/// Sessions held, connected or not.
pub const SESSIONS: &str = "windrose_sessions";
/// Subscriptions held.
pub const SUBSCRIPTIONS: &str = "windrose_subscriptions";
/// Subscriptions refused, by `cause`.
pub const SUBSCRIPTIONS_REFUSED: &str = "windrose_subscriptions_refused";
/// Exchanges, besides those that are always there.
pub const EXCHANGES: &str = "windrose_exchanges";
/// Queues, private ones that outlive their consumers among them.
pub const QUEUES: &str = "windrose_queues";
/// Bindings of queues and exchanges to exchanges.
pub const BINDINGS: &str = "windrose_bindings";
/// What was asked of exchanges and queues and declined, by `cause`.
pub const ARRANGEMENTS_DECLINED: &str = "windrose_arrangements_declined";
/// Who consumes from queues, or is subscribed as a consumer.
pub const CONSUMERS: &str = "windrose_consumers";
/// Events that wait in queues, the consumers' own among them.
pub const QUEUE_WAITING: &str = "windrose_queue_waiting_events";
/// Events that consumers have and have not disposed of.
pub const QUEUE_UNSETTLED: &str = "windrose_queue_unsettled_events";
/// Events that went by dead-letter exchanges, by `reason`.
pub const DEAD_LETTERS: &str = "windrose_dead_letters";
/// Last values held.
pub const RETAINED: &str = "windrose_retained";
/// Events that wait in the outboxes of sessions and in queues, or are unsettled there.
pub const QUEUED: &str = "windrose_queued_events";
/// Bytes read from peers, decrypted, without HTTP.
pub const BYTES_IN: &str = "windrose_bytes_in";
/// Bytes written to peers, as they went out, without HTTP.
pub const BYTES_OUT: &str = "windrose_bytes_out";
/// Datagrams of CoAP, by `listener`, `direction`.
pub const COAP_DATAGRAMS: &str = "windrose_coap_datagrams";
/// Requests of CoAP, each once, by `listener`.
pub const COAP_REQUESTS: &str = "windrose_coap_requests";
/// Messages of CoAP that came again, by `listener`.
pub const COAP_DUPLICATES: &str = "windrose_coap_duplicates";
/// Confirmable messages of CoAP sent again, by `listener`.
pub const COAP_RETRANSMISSIONS: &str = "windrose_coap_retransmissions";
/// Confirmable messages of CoAP given up, by `listener`.
pub const COAP_TIMEOUTS: &str = "windrose_coap_timeouts";
/// Exchanges of CoAP that were forgotten before their time, because there were too many, by `listener`.
pub const COAP_FORGOTTEN: &str = "windrose_coap_forgotten";
/// Responses of CoAP that were larger than their source may be sent, by `listener`.
pub const COAP_WITHHELD: &str = "windrose_coap_withheld";
/// What peers of CoAP sent that they must not, by `listener`, `cause`.
pub const COAP_MISHAPS: &str = "windrose_coap_mishaps";
/// Handshakes of DTLS, by `listener`, `step`: `asked` (to show its address), `begun`, `completed`, `resumed` (of those: from a
/// ticket).
pub const DTLS_HANDSHAKES: &str = "windrose_dtls_handshakes";
/// Flights of DTLS sent again, by `listener`.
pub const DTLS_REPEATED: &str = "windrose_dtls_repeated";
/// Handshakes of DTLS that came to nothing, by `listener`, `cause`.
pub const DTLS_FAILED: &str = "windrose_dtls_failed";
/// Records of DTLS that were dropped, by `listener`, `cause`.
pub const DTLS_DROPPED: &str = "windrose_dtls_dropped";
/// Sessions of DTLS that ended, by `listener`, `cause`.
pub const DTLS_CLOSED: &str = "windrose_dtls_closed";
/// Datagrams that were lost here, by `listener`, `cause`: `overflow` (they came faster than they were read), `too_large`, or
/// `unsent`.
pub const DATAGRAMS_LOST: &str = "windrose_datagrams_lost";
/// Seconds from an event's receipt to its acknowledgement, by `promise`.
pub const ACKNOWLEDGE_SECONDS: &str = "windrose_acknowledge_seconds";
/// Seconds from sending to a pool's member to its answer, by `pool`.
pub const POOL_SECONDS: &str = "windrose_pool_seconds";
/// Reloads of the document, by `outcome`: `accepted`, or `refused` because of a mistake.
pub const RELOADS: &str = "windrose_reloads";
/// Questions to the registry's database, by `result`: `hit`, `negative` (nobody is known by that) and `stale` (the database
/// is away) were answered from memory, `miss` went to the database.
pub const IDENTITY_LOOKUPS: &str = "windrose_identity_lookups";
/// Whether the registry's database is away.
pub const IDENTITY_AWAY: &str = "windrose_identity_database_away";
/// Records of the registry's database that are remembered.
pub const IDENTITY_REMEMBERED: &str = "windrose_identity_remembered_records";
/// Passwords verified by argon2id.
pub const IDENTITY_PASSWORDS: &str = "windrose_identity_passwords_verified";
/// Passwords that wait to be verified.
pub const IDENTITY_PASSWORDS_WAITING: &str = "windrose_identity_passwords_waiting";
/// Claims that the guard did not look at.
pub const IDENTITY_THROTTLED: &str = "windrose_identity_throttled";
/// How often the guard began to block an address or a name.
pub const IDENTITY_BLOCKS: &str = "windrose_identity_blocks";
/// Records that the journal has stored.
pub const JOURNAL_RECORDS: &str = "windrose_journal_records";
/// Commits of the journal to disk.
pub const JOURNAL_COMMITS: &str = "windrose_journal_commits";
/// Seconds that commits took, in all.
pub const JOURNAL_COMMIT_SECONDS: &str = "windrose_journal_commit_seconds";
/// Commits that failed and were tried again.
pub const JOURNAL_FAILURES: &str = "windrose_journal_failures";
/// Records that are not stored yet.
pub const JOURNAL_UNSTORED: &str = "windrose_journal_unstored_records";
/// Answers and deliveries that wait until records are stored.
pub const JOURNAL_HELD: &str = "windrose_journal_held";
/// Bytes of the journal's file.
pub const JOURNAL_BYTES: &str = "windrose_journal_file_bytes";
/// Entries of the journal that could not be read at the start.
pub const JOURNAL_SKIPPED: &str = "windrose_journal_skipped_entries";
