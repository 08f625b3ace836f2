//! `apportion TARGETS ROUNDS`: shares a total among that many targets, again and again, and prints the CPU time of
//! one round and by how many cents the shares miss the total (0), as JSON.

#![expect(clippy::print_stdout, reason = "a program")]

use std::error::Error;
use std::hint::black_box;

use bench::{process, targets};
use billing::money::{Decimal, apportion, sub, sum};
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [count, rounds] = arguments.as_slice() else {
        return Err("usage: apportion TARGETS ROUNDS".into());
    };
    let (total, weights) = (targets::total(), targets::targets(count.parse()?));
    let rounds: u32 = rounds.parse()?;
    let shares = apportion(total, &weights, 2)?;
    let off = sub(sum(shares)?, total)?.abs() * Decimal::ONE_HUNDRED;

    let before = process::cpu_time()?;
    for _ in 0..rounds {
        black_box(apportion(black_box(total), &weights, 2)?);
    }
    let cpu = (process::cpu_time()? - before) / rounds;
    println!(
        "{}",
        json!({"cpu_ns": u64::try_from(cpu.as_nanos())?, "off_cents": off.normalize().to_string()})
    );
    Ok(())
}
