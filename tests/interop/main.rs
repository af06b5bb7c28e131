//! The real binary against real SSH servers: one module a server.
