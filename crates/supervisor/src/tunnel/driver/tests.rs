//! What arrives with an event, whatever is told before it.

use super::*;
use crate::config::DuringOutage;
use crate::tunnel::tests::support::{context, server, tunnel_spec};

#[tokio::test(start_paused = true)]
async fn what_arrives_after_a_pause_is_used() {
    for during_outage in [DuringOutage::Hold, DuringOutage::Refuse] {
        let server = server();
        let mut spec = tunnel_spec("t", &["L0:echo:1"]);
        spec.outage.during_outage = during_outage;
        let (messages, queue) = mpsc::channel(1);
        let (mut driver, view) = TunnelDriver::new(spec, context(Arc::new(server.dialer())), queue);
        messages.try_send(Message::Order(Order::Start)).unwrap();
        let ready = async {
            while !view.borrow().ready {
                if let Some(event) = driver.next().await {
                    driver.tell_after(Duration::from_secs(1), event);
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), ready).await.expect("the session and the listener are used");
    }
}
