-- Devices and tasks that an import brought: no report marks them as new when they appear.

CREATE TABLE known_names (
  device TEXT NOT NULL,
  task   TEXT NOT NULL,     -- '': the device itself
  PRIMARY KEY (device, task)
);
