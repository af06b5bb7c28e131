//! A hostile server: what it can say again and again without being asked.

use russh::server::Handle;

/// Global requests that no client serves, and channels of every kind that no client asked for, `times` over. Each waits
/// for the answer to the one before. Ends early with the session.
pub(super) async fn flood(handle: &Handle, times: u32) {
    for _ in 0..times {
        let refused = [
            handle.forward_tcpip("127.0.0.1".to_owned(), 1).await.is_err(),
            handle.channel_open_session().await.is_err(),
            handle.channel_open_agent().await.is_err(),
            handle.channel_open_x11("127.0.0.1", 1).await.is_err(),
            handle.channel_open_direct_tcpip("127.0.0.1", 1, "127.0.0.1", 1).await.is_err(),
            handle.channel_open_forwarded_tcpip("nowhere", 1, "127.0.0.1", 1).await.is_err(),
            handle.channel_open_forwarded_streamlocal("/nowhere").await.is_err(),
        ];
        debug_assert!(refused.into_iter().all(|refused| refused), "a client that accepts what it never asked for");
    }
}
