//! What a network does between labs and their store.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use session_testing::servers::{Fault, Proxy};

use super::play::{Play, nodes, settles};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    /// The server is gone, and nobody takes its place.
    Refused,
    /// Slow, but not too slow.
    Slow,
    /// So slow that no answer comes in time.
    TooSlow,
    /// Answers are cut in the middle.
    Cut,
    /// Nothing arrives any more, and nobody says so.
    Silent,
}

impl Weather {
    pub(crate) const ALL: [Self; 5] = [Self::Refused, Self::Slow, Self::TooSlow, Self::Cut, Self::Silent];

    pub(crate) fn comes_over(self, proxy: &Proxy) {
        let while_it_is = |fault, time| {
            proxy.set(fault);
            sleep(Duration::from_millis(time));
        };
        match self {
            Self::Refused => {
                proxy.set(Fault::Refuse);
                proxy.drop_all();
                sleep(Duration::from_millis(1_000));
            }
            Self::Slow => while_it_is(Fault::Delay(Duration::from_millis(10)), 1_000),
            Self::TooSlow => while_it_is(Fault::Delay(Duration::from_millis(600)), 1_500),
            Self::Cut => (0..8).for_each(|n| while_it_is(Fault::CutMidReply([1, 7, 40, 300][n % 4]), 125)),
            Self::Silent => while_it_is(Fault::Silent, 1_500),
        }
        proxy.set(Fault::None);
    }
}

/// A play with a proxy between the two labs and `server`, which `url` names; at the end no more than `pools` connections are
/// open.
pub(crate) async fn through_a_proxy(turn: usize, url: &str, server: SocketAddr, weather: Weather, pools: usize) {
    let proxy = Proxy::to(server);
    let nodes = nodes(turn, &url.replace(&server.to_string(), &proxy.addr().to_string()));
    let comes = move || {
        weather.comes_over(&proxy);
        proxy
    };
    let (summary, proxy) = Play::new(&nodes).run(comes).await;
    println!("that was {weather:?}");
    match weather {
        Weather::Slow => assert!(summary.failed() < summary.served_during(), "slow is not too slow"),
        _ => summary.failed_in_time(),
    }
    assert_eq!(summary.lost(), 0);
    settles(pools, || async { proxy.connections() }).await;
}
