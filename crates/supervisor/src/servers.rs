//! What all tunnels share of the servers that they go to: starts and takeovers are paced, and servers that are away are asked once
//! for all.

pub mod governor;
pub mod reachability;
pub mod takeovers;
