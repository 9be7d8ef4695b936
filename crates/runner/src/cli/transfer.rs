//! How far a transfer is: a bar with rate and remaining time on a terminal, a plain line now and then elsewhere.

use crate::cli::common::duration;
use crate::cli::store::text::size;
use crate::store::remote::elsewhere::Traffic;
#[cfg(feature = "remote")]
use crate::store::remote::server::Counters;
#[cfg(feature = "remote")]
use crate::store::remote::transport::interruptible;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
#[cfg(feature = "remote")]
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

/// How often it is told where there are no bars.
const PLAIN_INTERVAL: Duration = Duration::from_secs(15);
/// How long a transfer takes before it is worth a word.
const SOON: Duration = Duration::from_secs(1);

/// A transfer.
pub struct Transfer {
    remote: String,
    bar: Option<ProgressBar>,
    began: Instant,
    spoken: Instant,
}

impl Transfer {
    /// With the bars of a run, or with its own.
    pub fn new(remote: &str, bars: Option<&MultiProgress>) -> Transfer {
        let bar = match bars {
            Some(bars) => Some(bars.add(ProgressBar::new(0))),
            None if std::io::stderr().is_terminal() => {
                Some(ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(8)))
            }
            None => None,
        };
        if let Some(bar) = &bar {
            let style = ProgressStyle::with_template("{bar:16} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        }
        let now = Instant::now();
        Transfer { remote: remote.to_owned(), bar, began: now, spoken: now }
    }

    /// Shows how far it is. Gives a line to say where there is no bar, now and then.
    pub fn show(&mut self, traffic: Traffic) -> Option<String> {
        let (done, total) = (traffic.received + traffic.sent, traffic.to_receive + traffic.to_send);
        let total = total.max(done);
        let elapsed = self.began.elapsed();
        if done == 0 || elapsed < SOON {
            return None;
        }
        let what = match (traffic.to_receive, traffic.to_send) {
            (_, 0) => "from",
            (0, _) => "to",
            _ => "from and to",
        };
        let rate = done as f64 / elapsed.as_secs_f64();
        let mut text =
            format!("{} of {} {what} {}, {}/s", size(done), size(total), self.remote, size(rate as u64));
        if done < total && rate > 0.0 {
            text += &format!(", {} left", duration((total - done) as f64 / rate));
        }
        match &self.bar {
            Some(bar) => {
                bar.set_length(total);
                bar.set_position(done);
                bar.set_message(text);
                None
            }
            None if self.spoken.elapsed() >= PLAIN_INTERVAL => {
                self.spoken = Instant::now();
                Some(text)
            }
            None => None,
        }
    }
}

/// Does work with a remote store, and shows how far its transfer is. None where the user ends it, by Ctrl-C pressed so often.
#[cfg(feature = "remote")]
pub fn shown<T>(
    runtime: &tokio::runtime::Runtime,
    (name, counters): (&str, &Counters),
    interrupts: (&AtomicUsize, usize),
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut transfer = Transfer::new(name, None);
    let tell = || {
        if let Some(line) = transfer.show(counters.traffic()) {
            crate::cli::common::print_error(&line);
        }
    };
    runtime.block_on(async { interruptible(interrupts, work, tell).await })
}

impl Drop for Transfer {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
