//! cratebench - does with the mmap-sync crate what it is told, as often as it is told, and says how long that took.
//!
//!     cratebench FOLDER
//!
//! The commands and answers are those of peerbench.c, at the head of that file; peers.tcl gives both the same in
//! turns.  What is measured is what the crate's own benchmark measures, by its `Synchronizer` with all parameters as
//! they come (no writer's lock, a sleep of 1 s for readers that are counted in) and grace times of 10 ns:
//!
//!     write SIZE N     `write` of a struct, which is serialized, checked, hashed and copied
//!     raw SIZE N       `write_raw` of bytes that were serialized before; another `version` in each
//!     read SIZE N      `read` without the check of bytes, and a look at `version`, and its end
//!     checked SIZE N   the same with the check
//!     spin, once, hold as there
//!
//! Of 36 bytes the payload is the struct of that benchmark's shape, a number and three short texts; of more it is a
//! number and a list of 64-bit numbers.  The channels are FOLDER/crate-SIZE.

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::time::{Duration, Instant};

use bytecheck::CheckBytes;
use mmap_sync::synchronizer::Synchronizer;
use rkyv::ser::serializers::AllocSerializer;
use rkyv::validation::validators::DefaultValidator;
use rkyv::{AlignedVec, Archive, Serialize};

/// Reads between two looks at the clock.
const BLOCK: u64 = 1000;
/// The size of what `spin`, `once` and `hold` use.
const SMALL: usize = 36;
/// The grace time of the crate's benchmark.
const GRACE: Duration = Duration::from_nanos(10);

#[derive(Archive, Serialize)]
#[archive_attr(derive(CheckBytes))]
struct Words {
    version: u32,
    texts: Vec<String>,
}

#[derive(Archive, Serialize)]
#[archive_attr(derive(CheckBytes))]
struct Numbers {
    version: u32,
    /// Fills the archive's end up to a multiple of 8 bytes.
    spare: u32,
    values: Vec<u64>,
}

/// A struct to publish, with a number in it that tells one from the next.
trait Payload: Archive + Sized {
    /// One whose archive takes that many bytes.
    fn of_size(size: usize) -> Self;
    fn stamp(&mut self, version: u32);
    fn version(archived: &Self::Archived) -> &u32;
}

impl Payload for Words {
    fn of_size(_: usize) -> Self {
        let texts = ["Hello", "World", "!"].map(String::from).to_vec();
        Words { version: 0, texts }
    }
    fn stamp(&mut self, version: u32) {
        self.version = version;
    }
    fn version(archived: &Self::Archived) -> &u32 {
        &archived.version
    }
}

impl Payload for Numbers {
    fn of_size(size: usize) -> Self {
        let values = size.saturating_sub(std::mem::size_of::<ArchivedNumbers>()) / 8;
        let value = |i: usize| (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Numbers {
            version: 0,
            spare: 0,
            values: (0..values).map(value).collect(),
        }
    }
    fn stamp(&mut self, version: u32) {
        self.version = version;
    }
    fn version(archived: &Self::Archived) -> &u32 {
        &archived.version
    }
}

/// Nanoseconds of processor time that this process has had.
fn spent() -> u64 {
    let mut t = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // Safety: `t` is a place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut t) };
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// What can be asked of a channel.  Each gives nanoseconds.
trait Channel {
    fn write(&mut self, n: u64) -> u64;
    fn raw(&mut self, n: u64) -> u64;
    fn read(&mut self, n: u64, check: bool) -> u64;
    /// For so long; how many reads that were, too.
    fn spin(&mut self, time: Duration) -> (u64, u64);
    fn once(&mut self, grace: Duration) -> u64;
    fn hold(&mut self);
}

struct Typed<T> {
    path: String,
    data: T,
    serial: u32,
    bytes: AlignedVec,
    /// Where in `bytes` the number stands.
    at: usize,
    writer: Synchronizer,
    reader: Synchronizer,
}

impl<T> Typed<T>
where
    T: Payload + Serialize<AllocSerializer<1024>>,
    T::Archived: for<'b> CheckBytes<DefaultValidator<'b>>,
{
    fn new(folder: &str, size: usize) -> Self {
        let path = format!("{folder}/crate-{size}");
        let data = T::of_size(size);
        let bytes = rkyv::to_bytes::<T, 1024>(&data).expect("serialize");
        assert_eq!(bytes.len(), size, "the archive has another size");
        let archived = rkyv::check_archived_root::<T>(&bytes).expect("check");
        let at = T::version(archived) as *const u32 as usize - bytes.as_ptr() as usize;
        let writer = Synchronizer::new(path.as_ref());
        let reader = Synchronizer::new(path.as_ref());
        Typed {
            path,
            data,
            serial: 0,
            bytes,
            at,
            writer,
            reader,
        }
    }

    fn newest(&mut self) -> u32 {
        // Safety: nobody writes meanwhile.
        *T::version(&*unsafe { self.reader.read::<T>(true) }.expect("read"))
    }

    fn reads(&mut self, n: u64, check: bool, version: u32) {
        for _ in 0..n {
            // Safety: nobody writes meanwhile.
            let archived = unsafe { self.reader.read::<T>(check) }.expect("read");
            assert_eq!(*T::version(&archived), version);
        }
    }

    fn put(&mut self, grace: Duration) {
        self.serial += 1;
        self.bytes[self.at..self.at + 4].copy_from_slice(&self.serial.to_ne_bytes());
        self.writer
            .write_raw::<T>(&self.bytes, grace)
            .expect("write_raw");
    }
}

impl<T> Channel for Typed<T>
where
    T: Payload + Serialize<AllocSerializer<1024>>,
    T::Archived: for<'b> CheckBytes<DefaultValidator<'b>>,
{
    fn write(&mut self, n: u64) -> u64 {
        let t = spent();
        for _ in 0..n {
            self.serial += 1;
            self.data.stamp(self.serial);
            self.writer.write(&self.data, GRACE).expect("write");
        }
        let t = spent() - t;
        assert_eq!(self.newest(), self.serial);
        t
    }

    fn raw(&mut self, n: u64) -> u64 {
        let t = spent();
        for _ in 0..n {
            self.put(GRACE);
        }
        let t = spent() - t;
        assert_eq!(self.newest(), self.serial);
        t
    }

    fn read(&mut self, n: u64, check: bool) -> u64 {
        let version = self.newest();
        let t = spent();
        self.reads(n, check, version);
        spent() - t
    }

    fn spin(&mut self, time: Duration) -> (u64, u64) {
        let version = self.newest();
        let mut n = 0;
        let (t, end) = (spent(), Instant::now() + time);
        while n == 0 || Instant::now() < end {
            self.reads(BLOCK, false, version);
            n += BLOCK;
        }
        (spent() - t, n)
    }

    fn once(&mut self, grace: Duration) -> u64 {
        let t = Instant::now();
        self.put(grace);
        t.elapsed().as_nanos() as u64
    }

    fn hold(&mut self) {
        let reader: &'static mut Synchronizer =
            Box::leak(Box::new(Synchronizer::new(self.path.as_ref())));
        // Safety: nothing is looked at.
        std::mem::forget(unsafe { reader.read::<T>(false) }.expect("read"));
    }
}

fn open(folder: &str, size: usize) -> Box<dyn Channel> {
    match size {
        SMALL => Box::new(Typed::<Words>::new(folder, size)),
        _ => Box::new(Typed::<Numbers>::new(folder, size)),
    }
}

/// Carries a command out: nanoseconds and operations.
fn obey(
    channels: &mut HashMap<usize, Box<dyn Channel>>,
    folder: &str,
    words: &[&str],
) -> (u64, u64) {
    let number = |at: usize| {
        words
            .get(at)
            .and_then(|word| word.parse::<u64>().ok())
            .unwrap_or(0)
    };
    let (a, n) = (number(1), number(2));
    let sized = matches!(words.first(), Some(&("write" | "raw" | "read" | "checked")));
    let size = if sized { a as usize } else { SMALL };
    let channel = channels.entry(size).or_insert_with(|| open(folder, size));
    match *words {
        ["write", _, _] => (channel.write(n), n),
        ["raw", _, _] => (channel.raw(n), n),
        ["read", _, _] => (channel.read(n, false), n),
        ["checked", _, _] => (channel.read(n, true), n),
        ["spin", _] => channel.spin(Duration::from_millis(a)),
        ["once", _] => (channel.once(Duration::from_millis(a)), 1),
        ["hold"] => {
            channel.hold();
            (0, 1)
        }
        _ => panic!("no such command: {}", words.join(" ")),
    }
}

fn main() {
    let folder = std::env::args().nth(1).expect("usage: cratebench FOLDER");
    let mut channels = HashMap::new();
    for line in io::stdin().lock().lines() {
        let line = line.expect("read a command");
        let words: Vec<&str> = line.split(' ').collect();
        let (ns, n) = obey(&mut channels, &folder, &words);
        println!("{ns} {n}");
        io::stdout().flush().expect("write an answer");
    }
}
