-- Run once, when the server is made: the engine's database is there, the bot has one of its own.
CREATE DATABASE bot;
