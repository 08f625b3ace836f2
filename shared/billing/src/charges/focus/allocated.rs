//! What tells parts of a shared resource (FOCUS 1.3) from its own rows.

use super::{CHARGE_END, CHARGE_START, COLUMNS, Focus, RESOURCE, SKU, SKU_PRICE};
use crate::charge::Charge;
use crate::charges::mapping::{Class, Columns, Mapping, Row, Texts};
use crate::charges::shared::SharedFormat;

/// See [`Mapping::shared`].
pub(super) static FORMAT: SharedFormat = SharedFormat {
    mapping: &Allocated,
    names: &["AllocatedMethodId", "AllocatedResourceId", "AllocatedTags"],
    resource: 0,
    skus: &[1, 2],
    period: [3, 4],
    parts: &[5, 6, 7],
};

/// FOCUS, without what the question does not need.
struct Allocated;

const FEW: Columns = Columns {
    texts: &[
        COLUMNS.texts[RESOURCE],
        COLUMNS.texts[SKU],
        COLUMNS.texts[SKU_PRICE],
        COLUMNS.texts[CHARGE_START],
        COLUMNS.texts[CHARGE_END],
        &["AllocatedMethodId"],
        &["AllocatedResourceId"],
        &["AllocatedTags"],
    ],
    prose: &[],
    kept: &[],
    numbers: &[],
    costs: &[],
    ..COLUMNS
};

impl Mapping for Allocated {
    fn columns(&self) -> &Columns {
        &FEW
    }

    fn classes(&self, texts: &dyn Texts) -> Result<Vec<Class>, String> {
        Focus.classes(texts)
    }

    fn complete<'r>(&self, charge: Charge<'r>, _: &'r Class, _: &Row<'r>) -> Result<Charge<'r>, String> {
        Ok(charge)
    }
}
