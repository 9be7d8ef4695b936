//! Results that are elsewhere: what a run asks of a remote store, and what it does with the answers.
//!
//! A task that waits for an answer stays `Waiting`, as for an input that is not made yet, so that the run goes on with others meanwhile.

use crate::plan::error::EngineError;
use crate::run::events::Event;
use crate::run::scheduler::Scheduler;
use crate::store::actions::Action;
use crate::store::digest::Digest;
use crate::store::objects::{Content, Held};
use crate::store::remote::elsewhere::{Answer, Notice, Parcel, Traffic};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often it is told how far the transfers are.
const INTERVAL: Duration = Duration::from_millis(200);

impl Scheduler<'_, '_> {
    /// Asks the remote store for the result of a task's key, once. True while the task waits for the answer.
    pub fn ask_elsewhere(&mut self, number: usize, key: Digest) -> bool {
        if self.stopping() || self.away.answered.contains(&key) {
            return false;
        }
        let Some(link) = &mut self.away.link else { return false };
        let waiting = self.away.asked.entry(key).or_insert_with(|| {
            link.ask(key);
            Vec::new()
        });
        waiting.push(number);
        self.states.wait_for(number, 1);
        true
    }

    /// Asks the remote store for the bytes that the store lacks of these outputs, once. True while a task waits for them: it is decided
    /// again when they are here.
    pub fn fetch_elsewhere(&mut self, outputs: &[Content], waiter: usize) -> Result<bool, EngineError> {
        if self.away.link.is_none() || self.stopping() {
            return Ok(false);
        }
        let objects = self.store.objects();
        let mut parcel = Parcel::new();
        for content in outputs {
            if objects.check(content)? != Held::Sound {
                parcel.push(*content);
            }
        }
        if let Some(waiting) = self.away.coming.get_mut(&parcel) {
            waiting.push(waiter);
            return Ok(true);
        }
        let Some(link) = self.away.link.as_mut().filter(|_| self.away.tried.insert(parcel.clone())) else {
            return Ok(false);
        };
        link.fetch(parcel.clone());
        self.away.coming.insert(parcel, vec![waiter]);
        Ok(true)
    }

    /// Sends a result of this run to the remote store, if that takes any.
    pub fn send_elsewhere(&mut self, action: &Action) {
        if let Some(link) = &mut self.away.link {
            link.send(action);
        }
    }

    /// Acts on the answers that are here.
    pub fn take_answers(&mut self) -> Result<(), EngineError> {
        while let Some(answer) = self.away.link.as_mut().and_then(|link| link.answer()) {
            let waiting = match answer {
                Answer::Told(notice) => {
                    self.tell(notice)?;
                    continue;
                }
                Answer::Record { key, host } => {
                    self.away.answered.insert(key);
                    let waiting = self.away.asked.remove(&key).unwrap_or_default();
                    if let (Some(host), Some(link)) = (host, &self.away.link) {
                        let remote = link.name().to_owned();
                        for number in &waiting {
                            let (task, remote, host) =
                                (self.task(*number).id.clone(), remote.clone(), host.clone());
                            self.emit(Event::ResultFound { task, key, remote, host })?;
                        }
                    }
                    waiting
                }
                Answer::Fetched { parcel, .. } => self.away.coming.remove(&parcel).unwrap_or_default(),
            };
            for number in waiting {
                if self.states.input_known(number) {
                    self.decidable.push(number);
                }
            }
        }
        self.tell_traffic(false);
        Ok(())
    }

    fn tell(&mut self, notice: Notice) -> Result<(), EngineError> {
        let Some(link) = &self.away.link else { return Ok(()) };
        let remote = link.name().to_owned();
        self.emit(Event::RemoteNotice { remote, notice })
    }

    /// Shows how far transfers are, now and then.
    fn tell_traffic(&mut self, last: bool) {
        let Some(link) = &self.away.link else { return };
        let (traffic, (at, before)) = (
            link.traffic(),
            self.away.told.unwrap_or_else(|| (Instant::now() - INTERVAL, Traffic::default())),
        );
        if traffic == before || (at.elapsed() < INTERVAL && !last) {
            return;
        }
        self.away.told = Some((Instant::now(), traffic));
        let (received, to_receive, requests) = (traffic.received, traffic.to_receive, traffic.requests);
        let (sent, to_send, remote) = (traffic.sent, traffic.to_send, link.name().to_owned());
        self.observer.event(&Event::RemoteTraffic { remote, received, to_receive, sent, to_send, requests });
    }

    /// At the end of a run: waits for what is on its way to the remote store, unless Ctrl-C is pressed.
    pub fn finish_sending(&mut self) -> Result<(), EngineError> {
        while self.away.link.as_ref().is_some_and(|link| link.unsent() > 0)
            && self.options.interrupts.load(Ordering::Relaxed) == 0
        {
            self.take_answers()?;
            self.observer.tick();
            std::thread::sleep(Duration::from_millis(10));
        }
        self.take_answers()?;
        if let Some(link) = &mut self.away.link {
            link.end();
        }
        self.tell_traffic(true);
        Ok(())
    }
}
