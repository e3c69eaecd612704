//! Properties of indicators.
