//! A thousand faults in random order, against the server in memory: a tunnel that says `ready` carries bytes, and one
//! whose fault has gone comes back. On virtual time, from a seed that a failure names.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tunnel_engine::clock;
use tunnel_engine::demo_server::{AuthFault, ConnectFault, Faults, Flow, LinkFaults, Target};
use tunnel_engine::task;

use crate::tunnel::core::tests::replay;
use crate::tunnel::test_support::{TestTunnel, tunnel_spec};
use crate::tunnel::*;

/// Faults of one run.
const FAULTS: usize = 1000;

/// A user whose bytes do not flow waits this long before he looks at the status.
const NOTICED_WITHIN: Duration = Duration::from_secs(5);

/// What a user's bytes may take while nothing is wrong.
const FLOWS_WITHIN: Duration = Duration::from_secs(2);

/// From the end of a fault until the tunnel is ready: the keepalive's 60 s when the fault ate bytes of an idle session,
/// the wait that a server asked for, and a login.
const BACK_WITHIN: Duration = Duration::from_secs(120);

/// What goes wrong. Each is taken back before the next.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Cut,
    Refuse,
    Lost,
    Silent,
    Busy,
    StallInKeyExchange,
    StallInAuth,
    DropInAuth,
    Blackhole,
    ToServerLost,
    ToClientLost,
    Frozen,
    ForwardsDenied,
    TargetRefuses,
    RetryNow,
    Restart,
}

impl Fault {
    const ALL: [Self; 16] = [
        Self::Cut,
        Self::Refuse,
        Self::Lost,
        Self::Silent,
        Self::Busy,
        Self::StallInKeyExchange,
        Self::StallInAuth,
        Self::DropInAuth,
        Self::Blackhole,
        Self::ToServerLost,
        Self::ToClientLost,
        Self::Frozen,
        Self::ForwardsDenied,
        Self::TargetRefuses,
        Self::RetryNow,
        Self::Restart,
    ];

    fn begin(self, rig: &TestTunnel) {
        let connect = |fault: ConnectFault| rig.server.set_faults(|faults| faults.connect = fault);
        let link = |link: LinkFaults| rig.server.set_faults(|faults| faults.link = link);
        let auth = |fault: AuthFault| rig.server.set_faults(|faults| faults.auth = fault);
        match self {
            Self::Cut => {}
            Self::Refuse => connect(ConnectFault::Refuse),
            Self::Lost => connect(ConnectFault::Lost),
            Self::Silent => connect(ConnectFault::Silent),
            Self::Busy => connect(ConnectFault::SayAndClose("Exceeded MaxStartups\r\n".to_owned())),
            Self::StallInKeyExchange => connect(ConnectFault::StallInKeyExchange),
            Self::StallInAuth => auth(AuthFault::Stall),
            Self::DropInAuth => auth(AuthFault::Drop),
            Self::Blackhole => link(LinkFaults::BLACKHOLE),
            Self::ToServerLost => link(LinkFaults { to_server: Flow::Discard, ..LinkFaults::default() }),
            Self::ToClientLost => link(LinkFaults { to_client: Flow::Discard, ..LinkFaults::default() }),
            Self::Frozen => link(LinkFaults::FROZEN),
            Self::ForwardsDenied => rig.server.set_faults(|faults| faults.deny_forwards = true),
            Self::TargetRefuses => rig.server.set_target("service", Target::Refuse),
            Self::RetryNow => rig.order(Order::RetryNow),
            Self::Restart => rig.order(Order::Restart),
        }
        let cuts = matches!(
            self,
            Self::Cut
                | Self::Refuse
                | Self::Lost
                | Self::Silent
                | Self::Busy
                | Self::StallInKeyExchange
                | Self::StallInAuth
                | Self::DropInAuth
                | Self::ForwardsDenied
        );
        if cuts {
            rig.server.cut();
        }
    }

    fn end(rig: &TestTunnel) {
        rig.server.set_faults(|faults| *faults = Faults::default());
        rig.server.set_target("service", Target::Echo);
    }
}

/// The tunnel, both kinds of forward, and its users.
struct FaultWorld {
    rig: TestTunnel,
    seed: u64,
    random: fastrand::Rng,
    told: Vec<String>,
}

impl FaultWorld {
    async fn new(seed: u64) -> Self {
        let home = echo_here().await;
        let spec = tunnel_spec("t", &["L0:service:1", &format!("R7000:127.0.0.1:{home}")]);
        replay::record();
        let rig = TestTunnel::started(spec);
        rig.server.set_target("service", Target::Echo);
        Self { rig, seed, random: fastrand::Rng::with_seed(seed), told: Vec::new() }
    }

    async fn suffer(&mut self, fault: Fault) {
        let lasts = Duration::from_millis(self.random.u64(0..40_000));
        let over = clock::now() + lasts;
        self.told.push(format!("{fault:?} for {lasts:?}"));
        fault.begin(&self.rig);
        while clock::now() < over {
            let pause = Duration::from_millis(self.random.u64(0..8_000));
            tokio::time::sleep_until((clock::now() + pause).min(over).into()).await;
            self.ask().await;
        }
        Fault::end(&self.rig);
        if matches!(fault, Fault::TargetRefuses) {
            // Nothing but a user shows, before the next poll, that the target takes connections again.
            self.flows().await;
        }
        let (back, told) = (clock::now() + BACK_WITHIN, self.story());
        let ready = tokio::time::timeout_at(back.into(), self.rig.view.wait_for(|view| view.ready)).await.is_ok();
        assert!(ready, "not back: {:#?}\n{told}", self.rig.view.borrow().status(clock::now()));
        self.ask().await;
    }

    /// Says it is ready, and is not: no check may find that.
    async fn ask(&mut self) {
        if !self.rig.view.borrow().ready {
            return;
        }
        let tried = clock::now();
        if self.flows().await {
            return;
        }
        tokio::time::sleep_until((tried + NOTICED_WITHIN).into()).await;
        let ready = self.rig.view.borrow().ready;
        if ready {
            // It may have come back meanwhile.
            let (flows, told) = (self.flows().await, self.story());
            let still = self.rig.view.borrow().ready;
            assert!(flows || !still, "false ready: {:#?}\n{told}", self.rig.view.borrow().status(clock::now()));
        }
    }

    async fn flows(&self) -> bool {
        let local = async {
            let mut stream = self.rig.connect(0).await;
            echoes(&mut stream).await
        };
        let remote = async {
            match self.rig.server.connect_forward(7000) {
                Some(mut stream) => echoes(&mut stream).await,
                None => false,
            }
        };
        let both = async { tokio::join!(local, remote) == (true, true) };
        tokio::time::timeout(FLOWS_WITHIN, both).await.unwrap_or(false)
    }

    fn story(&self) -> String {
        let last = self.told.len().saturating_sub(5);
        format!("TUNNELD_TEST_SEED={}, fault {}: {:#?}", self.seed, self.told.len(), &self.told[last..])
    }
}

/// Answers every connection with what it says.
async fn echo_here() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    task::detached(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            task::detached(async move {
                let (mut read, mut write) = stream.split();
                // Ends with its peer.
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    port
}

async fn echoes(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> bool {
    let mut back = [0; 4];
    stream.write_all(b"ping").await.is_ok() && stream.read_exact(&mut back).await.is_ok() && back == *b"ping"
}

#[tokio::test(start_paused = true)]
async fn ready_is_never_said_of_what_does_not_flow() {
    let seed = std::env::var("TUNNELD_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_121);
    let mut world = FaultWorld::new(seed).await;
    for _ in 0..FAULTS {
        let fault = Fault::ALL[world.random.usize(..Fault::ALL.len())];
        world.suffer(fault).await;
    }
    let (events, effects) = replay::take().replay();
    assert!(events > FAULTS && effects > FAULTS, "{events} events, {effects} effects");
}
