//! The small kernels: `cargo bench -p bench`.

#![expect(clippy::expect_used, reason = "inputs that are known to be good")]

use bench::invoice::{self, Size};
use bench::targets;
use billing::atlas::{Invoice, Rules, Statement, certify, rows_csv};
use billing::money::apportion;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn apportioning(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("apportion");
    for count in [100, 10_000, 100_000] {
        let weights = targets::targets(count);
        group.throughput(Throughput::Elements(u64::try_from(count).expect("a small number")));
        group.bench_with_input(BenchmarkId::from_parameter(count), &weights, |bencher, weights| {
            bencher.iter(|| apportion(targets::total(), weights, 2));
        });
    }
    group.finish();
}

fn invoices(criterion: &mut Criterion) {
    let mut document = Vec::new();
    invoice::write(&mut document, Size { lines: 1_000, projects: 50 }).expect("memory takes it");
    let key = invoice::key(&document).expect("its names are good");
    let mut group = criterion.benchmark_group("atlas invoice of 1,000 lines");
    group.throughput(Throughput::Bytes(u64::try_from(document.len()).expect("a small number")));
    group.bench_function("parse", |bencher| bencher.iter(|| Invoice::parse(&document).map(drop)));
    group.bench_function("rows and certificate", |bencher| {
        bencher.iter(|| {
            let invoice = Invoice::parse(&document).expect("it is an invoice");
            let certificate = certify(&key, &invoice, Rules::default(), |_| Ok(())).expect("it adds up");
            rows_csv(&certificate)
        });
    });
    group.bench_function("statement", |bencher| {
        bencher.iter(|| Statement::of(&key, &document, Rules::default()));
    });
    group.finish();
}

criterion_group!(kernels, apportioning, invoices);
criterion_main!(kernels);
