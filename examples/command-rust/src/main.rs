// SPDX-License-Identifier: Apache-2.0
//! What a command can do on its host, a verb each.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const HELP: &str = "\
cat [FILE...]      copy files, or standard input, to standard output
wc [FILE...]       count their lines, words and bytes
ls [DIR]           list a directory: kind, size, name
write FILE         copy standard input to a file
mkdir DIR | rm FILE | rmdir DIR | mv FROM TO
args ARG...        print the arguments
env [NAME]         print the environment, or one variable
err TEXT           print to standard error
time               print seconds since 1970
sleep MS           wait, then print the milliseconds that passed
random             print a random number
exit CODE          end with that code at once, by wasi:cli/exit's exit-with-code
quit CODE          the same by the standard library, whose WASI 0.2 knows 0 and 1 only
panic              end with a trap
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprint!("{HELP}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("{}: {error}", args.join(" "));
            ExitCode::FAILURE
        }
    }
}

/// False if that is no command of ours.
fn run(args: &[&str]) -> io::Result<bool> {
    let out = &mut io::stdout().lock();
    match args {
        ["cat", files @ ..] => {
            for (_, mut input) in inputs(files)? {
                io::copy(&mut input, out)?;
            }
        }
        ["wc", files @ ..] => {
            for (name, input) in inputs(files)? {
                let (lines, words, bytes) = count(input)?;
                writeln!(out, "{lines} {words} {bytes} {name}")?;
            }
        }
        ["ls"] => list(".", out)?,
        ["ls", dir] => list(dir, out)?,
        ["write", file] => {
            io::copy(&mut io::stdin().lock(), &mut File::create(file)?)?;
        }
        ["mkdir", dir] => fs::create_dir(dir)?,
        ["rm", file] => fs::remove_file(file)?,
        ["rmdir", dir] => fs::remove_dir(dir)?,
        ["mv", from, to] => fs::rename(from, to)?,
        ["args", rest @ ..] => {
            for arg in rest {
                writeln!(out, "{arg}")?;
            }
        }
        ["env"] => {
            for (name, value) in std::env::vars() {
                writeln!(out, "{name}={value}")?;
            }
        }
        ["env", name] => {
            let value = std::env::var(name).map_err(io::Error::other)?;
            writeln!(out, "{value}")?;
        }
        ["err", text] => eprintln!("{text}"),
        ["time"] => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            writeln!(out, "{}", now.as_secs())?;
        }
        ["sleep", ms] => {
            let start = Instant::now();
            std::thread::sleep(Duration::from_millis(ms.parse().map_err(io::Error::other)?));
            writeln!(out, "{}", start.elapsed().as_millis())?;
        }
        // The standard library has no random numbers of its own.
        ["random"] => writeln!(out, "{:016x}", wasip2::random::random::get_random_u64())?,
        ["exit", code] => {
            wasip2::cli::exit::exit_with_code(code.parse().map_err(io::Error::other)?);
        }
        ["quit", code] => std::process::exit(code.parse().map_err(io::Error::other)?),
        ["panic"] => panic!("asked to"),
        _ => return Ok(false),
    }
    out.flush()?;
    Ok(true)
}

fn inputs(files: &[&str]) -> io::Result<Vec<(String, Box<dyn Read>)>> {
    if files.is_empty() {
        return Ok(vec![("-".into(), Box::new(io::stdin()))]);
    }
    let open = |name: &&str| -> io::Result<(String, Box<dyn Read>)> {
        Ok((name.to_string(), Box::new(File::open(name)?)))
    };
    files.iter().map(open).collect()
}

fn count(input: Box<dyn Read>) -> io::Result<(usize, usize, usize)> {
    let (mut lines, mut words, mut bytes) = (0, 0, 0);
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        lines += usize::from(line.ends_with(b"\n"));
        words += line
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty())
            .count();
        bytes += line.len();
        line.clear();
    }
    Ok((lines, words, bytes))
}

fn list(dir: &str, out: &mut impl Write) -> io::Result<()> {
    let mut entries = fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let kind = entry.file_type()?;
        let kind = if kind.is_dir() {
            'd'
        } else if kind.is_symlink() {
            'l'
        } else {
            '-'
        };
        let size = fs::symlink_metadata(entry.path())?.len();
        writeln!(out, "{kind} {size} {}", entry.file_name().to_string_lossy())?;
    }
    Ok(())
}
