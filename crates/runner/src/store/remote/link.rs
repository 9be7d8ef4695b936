//! A remote store as a run sees it: questions go to threads of their own, and answers are taken as they come.

use crate::store::Store;
use crate::store::actions::Action;
use crate::store::digest::Digest;
use crate::store::files::StoreError;
use crate::store::objects::Content;
use crate::store::remote::download::Fetcher;
use crate::store::remote::elsewhere::{Answer, Elsewhere, Notice, Parcel, Traffic};
use crate::store::remote::error::{RemoteError, TransportError};
use crate::store::remote::opened::{Format, Remote};
use crate::store::remote::place::Place;
use crate::store::remote::push::{Pushed, Pusher, check};
use crate::store::remote::record::Policy;
use crate::store::remote::transport::blocking;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::{OnceCell, Semaphore};

/// How many records are asked for at once.
const ASKED: usize = 32;
/// How long a mark of a push stands after the last result, since another one may follow.
const LINGER: Duration = Duration::from_secs(5);
/// How long the end of a run waits for what was given up.
const END: Duration = Duration::from_secs(2);

/// The threads that remote stores are used from.
pub fn runtime() -> Result<Runtime, TransportError> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 4);
    let made = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    made.map_err(|error| TransportError::Other { message: format!("cannot start threads: {error}") })
}

/// A remote store that a run reads, and writes to if it is to.
pub struct Link {
    /// None before something is asked.
    runtime: Option<Runtime>,
    shared: Arc<Shared>,
    answers: Receiver<Answer>,
    unanswered: usize,
}

struct Shared {
    name: String,
    place: Place,
    policy: Policy,
    store: Store,
    push: bool,
    /// Opened when it is asked for the first time: most runs need nothing of it. None where nobody answers.
    opened: OnceCell<Option<Opened>>,
    /// Objects that should be there and are not.
    lost: Mutex<HashSet<Digest>>,
    pusher: tokio::sync::Mutex<Option<Arc<Pusher>>>,
    unsent: AtomicUsize,
    offline: AtomicBool,
    refused: AtomicBool,
    asked: Semaphore,
    answers: Sender<Answer>,
}

/// A remote store that answers.
struct Opened {
    remote: Remote,
    /// What it says of itself; none where nobody has written there yet.
    format: Option<Format>,
    fetcher: Fetcher,
}

impl Link {
    /// A remote store by its name, its place, and whose records count there.
    pub fn new(
        name: &str,
        place: &Place,
        policy: Policy,
        store: Store,
        push: bool,
    ) -> Result<Link, RemoteError> {
        if push {
            check(name, place, &policy)?;
        }
        let name = name.to_owned();
        let (sender, answers) = channel();
        let shared = Shared {
            name,
            place: place.clone(),
            policy,
            store,
            push,
            opened: OnceCell::new(),
            lost: Mutex::default(),
            pusher: tokio::sync::Mutex::default(),
            unsent: AtomicUsize::new(0),
            offline: AtomicBool::new(false),
            refused: AtomicBool::new(false),
            asked: Semaphore::new(ASKED),
            answers: sender,
        };
        Ok(Link { runtime: None, shared: Arc::new(shared), answers, unanswered: 0 })
    }

    /// Begins something on the threads; they are started when something is to be done.
    fn spawn(&mut self, work: impl Future<Output = ()> + Send + 'static) -> bool {
        if self.runtime.is_none() {
            match runtime() {
                Ok(runtime) => self.runtime = Some(runtime),
                Err(error) => self.shared.offline(error.to_string()),
            }
        }
        self.runtime.as_ref().map(|runtime| runtime.spawn(work)).is_some()
    }
}

impl Elsewhere for Link {
    fn name(&self) -> &str {
        &self.shared.name
    }

    fn ask(&mut self, key: Digest) {
        let shared = self.shared.clone();
        let asked = self.spawn(async move {
            let _slot = shared.asked.acquire().await;
            let host = shared.look_up(&key).await.unwrap_or_else(|error| {
                shared.trouble(error);
                None
            });
            shared.tell(Answer::Record { key, host });
        });
        self.unanswered += usize::from(asked);
    }

    fn fetch(&mut self, parcel: Parcel) {
        let shared = self.shared.clone();
        let asked = self.spawn(async move {
            let whole = shared.fetch(&parcel).await.unwrap_or_else(|error| {
                shared.trouble(error);
                false
            });
            shared.tell(Answer::Fetched { parcel, whole });
        });
        self.unanswered += usize::from(asked);
    }

    fn send(&mut self, action: &Action) {
        if !self.shared.push {
            return;
        }
        self.shared.unsent.fetch_add(1, Ordering::Relaxed);
        let (shared, action) = (self.shared.clone(), action.clone());
        self.spawn(async move {
            let (task, done) = (action.task.clone(), shared.send(&action).await);
            match done {
                Ok(Pushed::New | Pushed::There | Pushed::Unsigned) => {}
                Ok(Pushed::Differs(difference)) => {
                    shared.tell(Answer::Told(Notice::Differs { difference: *difference }));
                }
                Err(error) if error.is_offline() => shared.trouble(error),
                Err(error) => {
                    shared.tell(Answer::Told(Notice::NotSent { task, message: error.to_string() }));
                }
            }
            if shared.unsent.fetch_sub(1, Ordering::Relaxed) == 1 {
                tokio::time::sleep(LINGER).await;
                if shared.unsent.load(Ordering::Relaxed) == 0 {
                    shared.release().await;
                }
            }
        });
    }

    fn answer(&mut self) -> Option<Answer> {
        let answer = self.answers.try_recv().ok()?;
        if !matches!(answer, Answer::Told(_)) {
            self.unanswered -= 1;
        }
        Some(answer)
    }

    fn unanswered(&self) -> usize {
        self.unanswered
    }

    fn unsent(&self) -> usize {
        self.shared.unsent.load(Ordering::Relaxed)
    }

    fn end(&mut self) {
        if self.unsent() == 0
            && let Some(runtime) = &self.runtime
        {
            runtime.block_on(self.shared.release());
        }
    }

    fn traffic(&self) -> Traffic {
        let opened = self.shared.opened.get().and_then(Option::as_ref);
        opened.map_or_else(Traffic::default, |opened| opened.remote.counters.traffic())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(END);
        }
    }
}

impl Shared {
    fn tell(&self, answer: Answer) {
        // Nobody listens any more where the run has ended.
        let _ = self.answers.send(answer);
    }

    /// Tells once that nobody can be reached, and of anything else what it is.
    fn trouble(&self, error: RemoteError) {
        let message = error.to_string();
        if error.is_offline() {
            self.offline(message);
        } else {
            self.tell(Answer::Told(Notice::Unusable { message }));
        }
    }

    fn offline(&self, message: String) {
        if !self.offline.swap(true, Ordering::Relaxed) {
            self.tell(Answer::Told(Notice::Offline { message }));
        }
    }

    /// The remote store, if it can be reached.
    async fn opened(&self) -> Option<&Opened> {
        if self.offline.load(Ordering::Relaxed) {
            return None;
        }
        let opened = self.opened.get_or_init(|| async {
            let opened = self.open().await;
            // Whatever it is, the run goes on without.
            opened.inspect_err(|error| self.offline(error.to_string())).ok()
        });
        opened.await.as_ref()
    }

    async fn open(&self) -> Result<Opened, RemoteError> {
        let remote = Remote::open(&self.name, &self.place, self.policy.clone())?;
        let format = remote.format().await?;
        let fetcher = Fetcher::new(remote.clone(), self.store.clone());
        Ok(Opened { remote, format, fetcher })
    }

    /// The same, if somebody has written there.
    async fn filled(&self) -> Option<(&Opened, &Format)> {
        let opened = self.opened().await?;
        Some((opened, opened.format.as_ref()?))
    }

    /// The machine that made the result of a key, if there is a record that counts: the store has it then.
    async fn look_up(&self, key: &Digest) -> Result<Option<String>, RemoteError> {
        let Some((opened, format)) = self.filled().await else { return Ok(None) };
        let known = opened.remote.known(format, key).await?;
        if let Some((task, message)) = known.refused.into_iter().next()
            && !self.refused.swap(true, Ordering::Relaxed)
        {
            self.tell(Answer::Told(Notice::Refused { task, message }));
        }
        if let Some(difference) = known.difference {
            self.tell(Answer::Told(Notice::Differs { difference }));
        }
        let Some(action) = known.record else { return Ok(None) };
        let (actions, host) = (self.store.actions(), action.host.clone());
        blocking(move || Ok::<_, RemoteError>(actions.put(&action)?)).await?;
        Ok(Some(host))
    }

    async fn fetch(&self, parcel: &[Content]) -> Result<bool, RemoteError> {
        let Some((opened, _)) = self.filled().await else { return Ok(false) };
        let mut whole = true;
        for content in parcel {
            let fetched = opened.fetcher.content(content).await;
            if !matches!(fetched, Ok(true)) {
                self.note_lost(content)?;
            }
            whole &= fetched?;
        }
        Ok(whole)
    }

    /// What of a content did not come is not there: a push must not take it to be.
    fn note_lost(&self, content: &Content) -> Result<(), StoreError> {
        let objects = self.store.objects();
        let lost = self.store.closure([content])?.into_iter().filter(|digest| !objects.contains(digest));
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).extend(lost);
        Ok(())
    }

    async fn send(&self, action: &Action) -> Result<Pushed, RemoteError> {
        // That nobody answers was told.
        let Some(opened) = self.opened().await else { return Ok(Pushed::There) };
        let pusher = {
            let mut pusher = self.pusher.lock().await;
            match &*pusher {
                Some(pusher) => pusher.clone(),
                None => {
                    let begun = Pusher::begin(opened.remote.clone(), self.store.clone(), false).await?;
                    pusher.insert(Arc::new(begun)).clone()
                }
            }
        };
        let lost = std::mem::take(&mut *self.lost.lock().unwrap_or_else(PoisonError::into_inner));
        pusher.replace(&lost)?;
        pusher.result(action).await
    }

    /// Takes the mark of the push away, until more is to be sent.
    async fn release(&self) {
        let mut pusher = self.pusher.lock().await;
        // While somebody still sends, it stays; an error there only leaves the mark to die.
        if let Some(own) = pusher.take() {
            match Arc::strong_count(&own) {
                1 => _ = own.end().await,
                _ => *pusher = Some(own),
            }
        }
    }
}
