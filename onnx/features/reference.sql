-- The reference model's features: sixteen scale-free numbers per window, oldest bar first, newest last.
-- What is measured in returns is divided by the volatility of the last sixty bars, so that a calm and a wild market,
-- and ten-second and one-minute bars, look alike. The floors keep a flat series finite (its features are neutral).
SELECT
  ln(last(close) / lag(close, 1)) / greatest(realised_vol(close, 60), 1e-6) AS ret_1,
  ln(last(close) / lag(close, 5)) / (greatest(realised_vol(close, 60), 1e-6) * sqrt(5.0)) AS ret_5,
  ln(last(close) / lag(close, 15)) / (greatest(realised_vol(close, 60), 1e-6) * sqrt(15.0)) AS ret_15,
  (last(close) / ema(close, 12) - 1.0) / greatest(realised_vol(close, 60), 1e-6) AS ema_gap_12,
  (last(close) / ema(close, 20) - 1.0) / greatest(realised_vol(close, 60), 1e-6) AS ema_gap_20,
  (last(close) / ema(close, 50) - 1.0) / greatest(realised_vol(close, 60), 1e-6) AS ema_gap_50,
  rsi(close, 14) / 100.0 AS rsi_14,
  macd_hist(close, 12, 26, 9) / last(close) / greatest(realised_vol(close, 60), 1e-6) AS macd_hist,
  atr(high, low, close, 14) / last(close) / greatest(realised_vol(close, 60), 1e-6) AS atr_14,
  bb_z(close, 20) AS bb_z_20,
  adx(high, low, close, 14) / 100.0 AS adx_14,
  stoch_k(high, low, close, 14) / 100.0 AS stoch_k_14,
  cci(high, low, close, 20) / 100.0 AS cci_20,
  mfi(high, low, close, volume, 14) / 100.0 AS mfi_14,
  trade_imbalance(buy_volume, sell_volume, 20) AS trade_imbalance_20,
  parkinson(high, low, 20) / greatest(realised_vol(close, 60), 1e-6) AS parkinson_20
FROM "window"
