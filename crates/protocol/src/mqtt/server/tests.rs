//! How a server behaves, packet by packet.
