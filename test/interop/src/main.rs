//! main.rs - the mmap-sync crate as a process that a test drives: test/interop.test.
//!
//!     interop PATH plain|single
//!
//! PATH names the channel; `single` writes under the crate's lock `SingleWriter`, `plain` without one.  Commands come
//! in on stdin, a line each, and are answered with a line each, `error: ...` if the crate fails; at the end of stdin
//! the process ends.  test/interop_peer.c answers the same commands by our C interface, but for those of one side.
//!
//!     hello VERSION MESSAGE...       publishes the crate's example structure
//!     get checked|unchecked          reads it, and prints it as the crate's example does
//!     put FILE                       publishes the bytes of a file, `write_raw`
//!     bytes SIZE checked|unchecked FILE
//!                                    reads as an array of so many bytes, into a file
//!     load N WORDS                   publishes a `Load`, which tells of itself whether it is whole
//!     churn N WORDS PAUSE            publishes those from 1 to N, with a pause of so many microseconds after each
//!     scan N PAUSE                   reads such until it meets N, checked and unchecked in turn
//!     hold, peek, release            a read that lasts over several commands
//!     types                          what a checked read as other types says; what is there need be none of them
//!     version                        the version word
//!     grace MS                       how long a write waits from now on
//!     fresh                          another synchronizer takes the place of the one there is
//!
//! The Synchronizer is of the crate's own making but for one thing: while it waits for readers, a writer sleeps for
//! PAUSE_NS and not for a second, so that tests end.
use std::fmt::Debug;
use std::fs;
use std::io::{self, BufRead, Write};
use std::thread::sleep;
use std::time::{Duration, Instant};

use bytecheck::CheckBytes;
use mmap_sync::guard::ReadResult;
use mmap_sync::locks::{LockDisabled, SingleWriter, WriteLockStrategy};
use mmap_sync::synchronizer::{Synchronizer, SynchronizerError};
use rkyv::validation::validators::DefaultValidator;
use rkyv::{Archive, Deserialize, Serialize};
use wyhash::WyHash;

const PAUSE_NS: u64 = 1_000_000;

/// A scan gives up when what it waits for has not come for so long.
const PATIENCE: Duration = Duration::from_secs(60);

type Sync<WL> = Synchronizer<WyHash, WL, 1024, PAUSE_NS>;

/// The structure of the crate's examples.
#[derive(Archive, Deserialize, Serialize, Debug, PartialEq)]
#[archive_attr(derive(CheckBytes))]
struct HelloWorld {
    version: u32,
    messages: Vec<String>,
}

/// A payload all of whose bytes follow from `n`, and in which words of two payloads can not pass for one's.
#[derive(Archive, Deserialize, Serialize, Debug, PartialEq)]
#[archive_attr(derive(CheckBytes))]
struct Load {
    n: u64,
    words: Vec<u64>,
    check: u64,
}

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

fn word(n: u64, i: u64) -> u64 {
    n.wrapping_mul(STEP) ^ i
}

impl Load {
    fn new(n: u64, words: u64) -> Load {
        Load {
            n,
            words: (0..words).map(|i| word(n, i)).collect(),
            check: !n,
        }
    }
}

/// Its `n`, if it is whole.
fn whole(load: &ArchivedLoad) -> Option<u64> {
    let n = load.n;
    let sound = load.check == !n
        && !load.words.is_empty()
        && load.words.iter().zip(0u64..).all(|(w, i)| *w == word(n, i));
    if sound {
        Some(n)
    } else {
        None
    }
}

/// What a command is answered with.
type Answer = Result<String, String>;

fn failed(e: SynchronizerError) -> String {
    e.to_string()
}

fn number(text: Option<&str>) -> Result<u64, String> {
    text.and_then(|t| t.parse().ok())
        .ok_or_else(|| "a number is missing".to_string())
}

fn checked(text: Option<&str>) -> Result<bool, String> {
    match text {
        Some("checked") => Ok(true),
        Some("unchecked") => Ok(false),
        _ => Err("checked or unchecked?".to_string()),
    }
}

struct Peer<WL: 'static> {
    path: String,
    grace: Duration,
    sync: Sync<WL>,
    held: Option<ReadResult<'static, Load>>,
}

impl<WL> Peer<WL>
where
    WL: for<'a> WriteLockStrategy<'a>,
{
    fn new(path: &str) -> Self {
        Peer {
            path: path.to_string(),
            grace: Duration::from_secs(10),
            sync: Sync::with_params(path.as_ref()),
            held: None,
        }
    }

    fn load(&mut self, n: u64, words: u64) -> Result<(usize, bool), String> {
        let done = self.sync.write(&Load::new(n, words), self.grace);
        if done.is_err() {
            // It has lost the buffer it writes through, and would fail for ever.
            self.sync = Sync::with_params(self.path.as_ref());
        }
        done.map_err(failed)
    }

    fn churn(&mut self, n: u64, words: u64, pause: Duration) -> Answer {
        let mut resets = 0;
        for i in 1..=n {
            let (_, reset) = self.load(i, words)?;
            resets += reset as u64;
            sleep(pause);
        }
        Ok(format!("published {} resets {}", n, resets))
    }

    fn scan(&mut self, n: u64, pause: Duration) -> Answer {
        let (mut reads, mut torn, mut back, mut switched, mut last) = (0u64, 0u64, 0u64, 0u64, 0);
        let mut since = Instant::now();
        while last != n {
            let read = unsafe { self.sync.read::<Load>(reads % 2 == 0) };
            reads += 1;
            match read {
                Ok(load) => {
                    switched += load.is_switched() as u64;
                    match whole(&load) {
                        Some(n) => {
                            back += (n < last) as u64;
                            if n != last {
                                since = Instant::now();
                            }
                            last = n;
                        }
                        None => torn += 1,
                    }
                }
                Err(SynchronizerError::FailedEntityRead) => torn += 1,
                Err(e) => return Err(failed(e)),
            }
            if since.elapsed() > PATIENCE {
                return Err(format!("no {} after {}", n, last));
            }
            sleep(pause);
        }
        Ok(format!(
            "last {} torn {} back {} reads {} switched {}",
            last, torn, back, reads, switched
        ))
    }

    fn get(&mut self, check: bool) -> Answer {
        let data = unsafe { self.sync.read::<HelloWorld>(check) }.map_err(failed)?;
        Ok(format!(
            "version: {} | messages: {:?}",
            data.version, data.messages
        ))
    }

    fn array<const N: usize>(&mut self, check: bool, file: &str) -> Answer {
        let data = unsafe { self.sync.read::<[u8; N]>(check) }.map_err(failed)?;
        fs::write(file, &data[..]).map_err(|e| e.to_string())?;
        Ok(format!("read {} switched {}", N, data.is_switched()))
    }

    fn bytes(&mut self, size: u64, check: bool, file: &str) -> Answer {
        match size {
            0 => self.array::<0>(check, file),
            1 => self.array::<1>(check, file),
            36 => self.array::<36>(check, file),
            4096 => self.array::<4096>(check, file),
            1048576 => self.array::<1048576>(check, file),
            _ => Err("not one of the sizes".to_string()),
        }
    }

    fn says<T>(&mut self) -> String
    where
        T: Archive,
        T::Archived: for<'b> CheckBytes<DefaultValidator<'b>>,
    {
        match unsafe { self.sync.read::<T>(true) } {
            Ok(_) => "sound".to_string(),
            Err(e) => failed(e),
        }
    }

    fn types(&mut self) -> Answer {
        Ok([
            self.says::<HelloWorld>(),
            self.says::<Load>(),
            self.says::<Vec<String>>(),
            self.says::<Vec<Vec<u8>>>(),
            self.says::<Option<Box<String>>>(),
        ]
        .join(" | "))
    }

    /// A read of its own, of a synchronizer that is never given back.
    fn hold(&mut self) -> Answer {
        let sync: &'static mut Sync<LockDisabled> =
            Box::leak(Box::new(Sync::with_params(self.path.as_ref())));
        self.held = Some(unsafe { sync.read::<Load>(true) }.map_err(failed)?);
        self.peek()
    }

    fn peek(&self) -> Answer {
        let held = self.held.as_ref().ok_or("nothing is held")?;
        Ok(match whole(held) {
            Some(n) => format!("holds {}", n),
            None => "holds what is torn".to_string(),
        })
    }

    fn answer(&mut self, line: &str) -> Answer {
        let mut words = line.split(' ');
        let command = words.next().unwrap_or("");
        let written = |(size, reset)| format!("written: {} bytes | reset: {}", size, reset);
        match command {
            "hello" => {
                let hello = HelloWorld {
                    version: number(words.next())? as u32,
                    messages: words.map(|w| w.to_string()).collect(),
                };
                self.sync
                    .write(&hello, self.grace)
                    .map(written)
                    .map_err(failed)
            }
            "get" => self.get(checked(words.next())?),
            "put" => {
                let bytes = fs::read(words.next().unwrap_or("")).map_err(|e| e.to_string())?;
                self.sync
                    .write_raw::<HelloWorld>(&bytes, self.grace)
                    .map(written)
                    .map_err(failed)
            }
            "bytes" => {
                let size = number(words.next())?;
                let check = checked(words.next())?;
                self.bytes(size, check, words.next().unwrap_or(""))
            }
            "load" => self
                .load(number(words.next())?, number(words.next())?)
                .map(written),
            "churn" => {
                let (n, size) = (number(words.next())?, number(words.next())?);
                self.churn(n, size, Duration::from_micros(number(words.next())?))
            }
            "scan" => {
                let n = number(words.next())?;
                self.scan(n, Duration::from_micros(number(words.next())?))
            }
            "hold" => self.hold(),
            "peek" => self.peek(),
            "release" => {
                let last = self.peek();
                self.held = None;
                last
            }
            "types" => self.types(),
            "version" => self
                .sync
                .version()
                .map(|v| u64::from(v).to_string())
                .map_err(failed),
            "grace" => {
                self.grace = Duration::from_millis(number(words.next())?);
                Ok("ok".to_string())
            }
            "fresh" => {
                self.sync = Sync::with_params(self.path.as_ref());
                Ok("ok".to_string())
            }
            _ => Err(format!("no such command: {}", command)),
        }
    }

    fn run(mut self) -> io::Result<()> {
        let mut out = io::stdout();
        for line in io::stdin().lock().lines() {
            match self.answer(&line?) {
                Ok(text) => writeln!(out, "{}", text)?,
                Err(text) => writeln!(out, "error: {}", text)?,
            }
            out.flush()?;
        }
        Ok(())
    }
}

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    match (args.get(1), args.get(2).map(String::as_str)) {
        (Some(path), Some("plain")) => Peer::<LockDisabled>::new(path).run(),
        (Some(path), Some("single")) => Peer::<SingleWriter>::new(path).run(),
        _ => {
            eprintln!("usage: interop PATH plain|single");
            std::process::exit(2)
        }
    }
}
