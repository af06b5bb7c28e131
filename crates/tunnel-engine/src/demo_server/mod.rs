//! demo_server (being written).
