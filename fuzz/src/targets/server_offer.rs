//! A server's first packets: its key exchange offer, read ahead and for `doctor`.

use tunnel_engine::fuzzing::{first_methods, kex_offer};

/// What is decided of a part stays decided, names for a terminal are clean, and the two readers name the same methods.
pub fn server_offer(data: &[u8]) {
    let whole = first_methods(data);
    for end in [data.len() / 2, data.len().saturating_sub(1)] {
        if let Some(decided) = first_methods(&data[..end]) {
            assert_eq!(whole, Some(decided), "it is decided at {end}, and then again");
        }
    }
    let sent = [b"SSH-2.0-x\r\n", data].concat();
    let Some(offer) = kex_offer(&sent) else { return };
    let lists = [&offer.kex, &offer.host_keys, &offer.ciphers, &offer.macs];
    let clean = |name: &String| name.len() <= 64 && name.chars().all(|c| c.is_ascii_graphic());
    assert!(lists.iter().all(|list| list.len() <= 64 && list.iter().all(clean)));
    let Some(Some(methods)) = whole else { return };
    let flag = |name: &String| name.starts_with("ext-info-") || name.starts_with("kex-strict-");
    if methods.len() <= 64 && methods.iter().all(|name| clean(name) && !name.is_empty() && !flag(name)) {
        assert_eq!(offer.kex, methods, "the two readers differ");
    }
}
