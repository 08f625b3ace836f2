//! A report with split cost allocation data: rows of containers beside the lines of the instances that they ran on.

use std::borrow::Cow;

use super::{COLUMNS, Cur, PLAN, PUBLIC_COST, RESERVATION, RESOURCE, START, USAGE_TYPE};
use crate::charge::{Charge, Further};
use crate::charges::mapping::{Class, Columns, Effective, Mapping, Row, Sign, Texts};
use crate::charges::splits::{SplitFormat, SplitPlaces, SplitReading, instance};
use crate::money;
use crate::money::Amount;

/// A column: its names.
type Names = &'static [&'static str];

const PARENT: Names = &["split_line_item_parent_resource_id", "splitLineItem/ParentResourceId"];
const OPERATION: Names = &["line_item_operation", "lineItem/Operation"];
const SPLIT: Names = &["split_line_item_split_cost", "splitLineItem/SplitCost"];
const UNUSED: Names = &["split_line_item_unused_cost", "splitLineItem/UnusedCost"];
/// Filled from other rows, not from a column.
const NO_COLUMN: Names = &[];

/// What a report has, and after it what split lines have.
const fn joined<T: Copy, const N: usize>(one: &[T], other: &[T]) -> [T; N] {
    let mut all = [other[0]; N];
    let mut at = 0;
    while at < N {
        all[at] = if at < one.len() { one[at] } else { other[at - one.len()] };
        at += 1;
    }
    all
}

/// Where the three moved costs stand in both readings.
const MOVED: [usize; 3] = [COLUMNS.amounts.len(), COLUMNS.amounts.len() + 1, COLUMNS.amounts.len() + 2];
const AMOUNTS: [Names; COLUMNS.amounts.len() + 3] = joined(COLUMNS.amounts, &[NO_COLUMN; 3]);
/// Where the further texts and numbers begin in the reading of charges.
const TEXT: usize = COLUMNS.texts.len();
const NUMBER: usize = COLUMNS.numbers.len();
const LINE_PLAN: usize = TEXT + 2;
const LINE_RESERVATION: usize = TEXT + 3;
const TEXTS: [Names; TEXT + 5] =
    joined(COLUMNS.texts, &[PARENT, OPERATION, NO_COLUMN, NO_COLUMN, COLUMNS.class[RESERVATION]]);
const NUMBERS: [Names; NUMBER + 2] = joined(COLUMNS.numbers, &[SPLIT, UNUSED]);
const COSTS: [usize; COLUMNS.costs.len() + 2] = joined(COLUMNS.costs, &[NUMBER, NUMBER + 1]);

const OF_CHARGES: Columns =
    Columns { amounts: &AMOUNTS, texts: &TEXTS, numbers: &NUMBERS, costs: &COSTS, moved: &MOVED, ..COLUMNS };
const OF_SUMS: Columns = Columns {
    amounts: &AMOUNTS,
    texts: &[
        COLUMNS.texts[RESOURCE],
        PARENT,
        COLUMNS.texts[START],
        COLUMNS.texts[USAGE_TYPE],
        OPERATION,
        COLUMNS.texts[PLAN],
        COLUMNS.class[RESERVATION],
    ],
    prose: &[],
    kept: &[],
    numbers: &[SPLIT, UNUSED, COLUMNS.numbers[PUBLIC_COST]],
    costs: &[0, 1, 2],
    moved: &MOVED,
    ..COLUMNS
};

/// See [`Mapping::splits`].
pub(super) static FORMAT: SplitFormat = SplitFormat {
    parent: PARENT,
    sums: SplitReading {
        mapping: &Split { columns: OF_SUMS },
        places: SplitPlaces {
            resource: 0,
            parent: 1,
            start: 2,
            usage_type: 3,
            operation: 4,
            commitments: [5, 6],
            line_commitments: None,
            split: 0,
            unused: 1,
            list: 2,
            moved: MOVED,
        },
    },
    charges: SplitReading {
        mapping: &Split { columns: OF_CHARGES },
        places: SplitPlaces {
            resource: RESOURCE,
            parent: TEXT,
            start: START,
            usage_type: USAGE_TYPE,
            operation: TEXT + 1,
            commitments: [PLAN, TEXT + 4],
            line_commitments: Some([LINE_PLAN, LINE_RESERVATION]),
            split: NUMBER,
            unused: NUMBER + 1,
            list: PUBLIC_COST,
            moved: MOVED,
        },
    },
};

/// The report, its rows with what they took or gave.
struct Split {
    columns: Columns,
}

impl Mapping for Split {
    fn columns(&self) -> &Columns {
        &self.columns
    }

    fn classes(&self, texts: &dyn Texts) -> Result<Vec<Class>, String> {
        let [billed, effective, _] = MOVED;
        let mut classes = Cur.classes(texts)?;
        for class in &mut classes {
            class.billed.push((billed, Sign::Plus));
            if let Effective::Cells { terms, filled, .. } = &mut class.effective {
                terms.push((effective, Sign::Plus));
                // empty where a part is of a line that states none
                filled.push(effective);
            }
        }
        Ok(classes)
    }

    fn complete<'r>(
        &self,
        charge: Charge<'r>,
        class: &'r Class,
        row: &Row<'r>,
    ) -> Result<Charge<'r>, String> {
        let moved = |cost: usize| {
            let amount = row.amounts.get(MOVED[cost]).copied().flatten();
            amount.unwrap_or(Amount::ZERO).to_decimal(18).map_err(|error| error.to_string())
        };
        let states_list = row.numbers.get(PUBLIC_COST).copied().flatten().is_some();
        let charge = Cur.complete(charge, class, row)?;
        // a row without a list price has the billed cost instead, with what it took already
        let taken = if states_list { money::Decimal::ZERO } else { moved(0)? };
        let list = moved(2)
            .map(|list| money::sub(list, taken).and_then(|list| money::add(charge.list_cost, list)))?;
        let charge = Charge { list_cost: list.map_err(|error| error.to_string())?, ..charge };
        Ok(allocated(with_commitment_of_line(charge, row), row))
    }
}

/// FOCUS `AllocatedMethodId` of parts.
const METHOD: &str = "aws-split-cost-allocation";

/// A part is of its instance, and itself what cost is allocated to.
fn allocated<'r>(charge: Charge<'r>, row: &Row<'r>) -> Charge<'r> {
    let resource = row.texts.text(RESOURCE);
    let is_part = |parent: &&str| resource.map(instance) != Some(instance(parent));
    let Some(parent) = row.texts.text(TEXT).filter(is_part) else { return charge };
    Charge {
        resource_id: Some(Cow::Borrowed(parent)),
        further: Further {
            allocated_method_id: Some(Cow::Borrowed(METHOD)),
            allocated_resource_id: resource.map(Cow::Borrowed),
            ..charge.further
        },
        ..charge
    }
}

/// A part draws on what its line draws on.
fn with_commitment_of_line<'r>(charge: Charge<'r>, row: &Row<'r>) -> Charge<'r> {
    if charge.commitment_discount_id.is_some() {
        return charge;
    }
    let of = |column: usize, category, kind| Some((row.texts.text(column)?, category, kind));
    let commitment =
        of(LINE_PLAN, "Spend", "Savings Plan").or(of(LINE_RESERVATION, "Usage", "Reserved Instance"));
    let Some((id, category, kind)) = commitment else { return charge };
    Charge {
        commitment_discount_id: Some(Cow::Borrowed(id)),
        commitment_discount_category: Some(Cow::Borrowed(category)),
        commitment_discount_type: Some(Cow::Borrowed(kind)),
        commitment_discount_status: Some(Cow::Borrowed("Used")),
        pricing_category: Some(Cow::Borrowed("Committed")),
        ..charge
    }
}
