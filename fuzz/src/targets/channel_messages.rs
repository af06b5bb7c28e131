//! Messages about channels, of a server's and of ours, in any order.

use tunnel_engine::fuzzing::channel_messages as messages;

/// No panic, and nothing is kept that did not come.
pub fn channel_messages(data: &[u8]) {
    let (kept, came) = messages(data);
    assert!(kept <= came && came <= data.len(), "{kept} bytes of {came} are kept");
}
