//! The loop against the engine in memory: what is looked at, when it is applied, and what a lost connection costs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::watch::{Serve, watch};
use crate::docker::Happened;
use crate::docker::fake::Fake;
use crate::error::{Error, Result};
use crate::plan::route::resolve::Asking;

/// When, the running ones of whom, and whether that is all.
type Served = (Instant, Vec<String>, bool);

/// Writes down what it is told to serve.
#[derive(Default, Clone)]
struct Hand {
    served: Arc<Mutex<Vec<Served>>>,
    failures: Arc<Mutex<Vec<String>>>,
    /// So many calls fail.
    fails: Arc<Mutex<usize>>,
}

impl Serve for Hand {
    async fn serve(&mut self, asking: &[Asking], whole: bool, _: Instant) -> Result<()> {
        let mut fails = self.fails.lock().unwrap();
        if *fails > 0 {
            *fails -= 1;
            return Err(Error::external("nginx is not in the mood"));
        }
        let mut names: Vec<String> = asking.iter().filter(|asks| asks.running).map(|asks| asks.name.clone()).collect();
        names.sort();
        self.served.lock().unwrap().push((Instant::now(), names, whole));
        Ok(())
    }
    async fn changed(&mut self) -> Result<bool> {
        Ok(false)
    }
    async fn woken(&mut self) {
        std::future::pending::<()>().await;
    }
    fn concerns(&mut self, _: &Happened) -> bool {
        false
    }
    fn ready(&mut self) {}
    fn failed(&mut self, error: &Error) {
        self.failures.lock().unwrap().push(error.to_string());
    }
}

impl Hand {
    fn last(&self) -> (Vec<String>, bool) {
        let served = self.served.lock().unwrap();
        served.last().map(|(_, names, whole)| (names.clone(), *whole)).expect("something was served")
    }

    fn times(&self) -> usize {
        self.served.lock().unwrap().len()
    }
}

const ASKS: [(&str, &str); 1] = [("VIRTUAL_HOST", "a.example.org")];

/// Runs the loop while `story` does things to the engine.
async fn run(engine: &Fake, hand: &Hand, story: impl Future<Output = ()>) {
    run_filtered(engine, hand, &[], story).await;
}

async fn run_filtered(engine: &Fake, hand: &Hand, filters: &[(String, String)], story: impl Future<Output = ()>) {
    let (end, ended) = oneshot::channel::<()>();
    let mut serve = hand.clone();
    let stopped = async {
        drop(ended.await);
    };
    let story = async {
        sleep(Duration::from_secs(1)).await;
        story.await;
        drop(end);
    };
    let (watched, ()) = tokio::join!(watch(engine, &mut serve, filters, stopped), story);
    watched.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_does_not_pass_the_filters_is_nobody() {
    let (engine, hand) = (Fake::new(), Hand::default());
    engine.make_asking("mine-old", &ASKS, &[]).unwrap();
    engine.make_asking("other-old", &ASKS, &[]).unwrap();
    run_filtered(&engine, &hand, &[("name".to_owned(), "mine".to_owned())], async {
        assert_eq!(hand.last(), (vec!["mine-old".to_owned()], true));
        engine.make_asking("other-new", &ASKS, &[]).unwrap();
        engine.make_asking("mine-new", &ASKS, &[]).unwrap();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(hand.last().0, ["mine-new", "mine-old"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_event_is_one_look_and_one_application() {
    let (engine, hand) = (Fake::new(), Hand::default());
    engine.make_asking("old", &ASKS, &[]).unwrap();
    engine.make_asking("quiet", &[("OTHER", "x")], &[]).unwrap();
    run(&engine, &hand, async {
        assert_eq!(hand.last(), (vec!["old".to_owned()], true));
        assert_eq!((engine.looks("old"), engine.looks("quiet")), (1, 1));
        engine.make_asking("web", &[("VIRTUAL_HOST", "b.example.org")], &[]).unwrap();
        let begun = Instant::now();
        sleep(Duration::from_millis(200)).await;
        assert_eq!(hand.last(), (vec!["old".to_owned(), "web".to_owned()], false));
        let at = hand.served.lock().unwrap().last().unwrap().0;
        assert!(at - begun < Duration::from_millis(60), "{:?}", at - begun);
        assert_eq!((engine.looks("web"), engine.looks("old")), (1, 1), "nobody else is looked at");
        let times = hand.times();
        engine.make_asking("silent", &[], &[]).unwrap();
        engine.kill("quiet").unwrap();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(hand.times(), times, "who asks for nothing changes nothing");
        engine.kill("web").unwrap();
        sleep(Duration::from_millis(200)).await;
        assert_eq!(hand.last().0, ["old"]);
        engine.remove_by_hand("old");
        sleep(Duration::from_millis(200)).await;
        assert!(hand.last().0.is_empty());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_while_the_connection_was_gone_is_made_good() {
    let (engine, hand) = (Fake::new(), Hand::default());
    run(&engine, &hand, async {
        engine.breaks_events();
        sleep(Duration::from_millis(10)).await;
        assert_eq!(engine.listeners(), 0);
        engine.make_asking("web", &ASKS, &[]).unwrap();
        sleep(Duration::from_secs(2)).await;
        assert_eq!((hand.last().0, engine.listeners()), (vec!["web".to_owned()], 1));
        assert_eq!(hand.failures.lock().unwrap().len(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn without_any_event_the_list_tells() {
    let (engine, hand) = (Fake::new(), Hand::default());
    run(&engine, &hand, async {
        // Nobody tells of it: the state changes behind the events' back.
        engine.make_asking("web", &ASKS, &[]).unwrap();
        sleep(Duration::from_millis(200)).await;
        let times = hand.times();
        sleep(Duration::from_secs(200)).await;
        assert_eq!((hand.times(), engine.looks("web")), (times + 1, 1), "the look at everything asks about nobody who is as known");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_again_less_and_less_often() {
    let (engine, hand) = (Fake::new(), Hand::default());
    *hand.fails.lock().unwrap() = 3;
    engine.make_asking("web", &ASKS, &[]).unwrap();
    let begun = Instant::now();
    run(&engine, &hand, async {
        sleep(Duration::from_secs(10)).await;
        assert_eq!((hand.last().0, hand.failures.lock().unwrap().len()), (vec!["web".to_owned()], 3));
        let at = hand.served.lock().unwrap()[0].0 - begun;
        assert!(at > Duration::from_secs(6) && at < Duration::from_secs(9), "{at:?}");
    })
    .await;
}
