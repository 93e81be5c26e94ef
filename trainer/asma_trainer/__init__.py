"""The trainer: reads skeleton data sets, pretrains ASMa, fuses, distils and evaluates."""
