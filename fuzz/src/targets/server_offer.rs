//! A server's first packets: its key exchange offer, as `doctor` shows it.

use tunnel_engine::fuzzing::kex_offer;

/// Names for a terminal are clean, and there is a bound for them.
pub fn server_offer(data: &[u8]) {
    let sent = [b"SSH-2.0-x\r\n", data].concat();
    let Some(offer) = kex_offer(&sent) else { return };
    let lists = [&offer.kex, &offer.host_keys, &offer.ciphers, &offer.macs];
    let clean = |name: &String| name.len() <= 64 && name.chars().all(|c| c.is_ascii_graphic());
    assert!(lists.iter().all(|list| list.len() <= 64 && list.iter().all(clean)));
}
