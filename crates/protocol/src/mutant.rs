//! The protocol with one rule left out.

/// A rule that is left out, to see that it is missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// Nothing says that a write to the old store is on its way; the document is marked after it.
    NothingBeforeWrite,
    /// A write to the new store leaves nothing in its log.
    NoLog,
    /// Who reads the log notes how far it read, whatever the control row says by then.
    ReadsLogUnderAnyLead,
    /// The document is marked before the write to the old store, instead of saying that it is on its way.
    NoIntent,
    /// The end of an intent does not count as a change.
    CompletesSilently,
    /// An intent that ran out does not count as a change.
    LapsesSilently,
    /// The old store takes writes whose time has run out.
    NoDeadlineOnWrites,
    /// The old store takes a worker's copy whose claim has run out.
    NoDeadlineOnCopies,
    /// The old store takes a write whatever it holds.
    WritesBlindly,
    /// The app is told before the old store has answered.
    AnswersEarly,
    /// A mark is cleared although the document changed again.
    ClearsWithoutLook,
    /// The new store takes the copy of a worker that no longer holds the claim.
    NoToken,
    /// The new store takes a copy whatever the control row says by then.
    CopiesUnderAnyLead,
    /// A worker looks at the old store after it asked who leads, not before.
    LooksAfterLead,
    /// A worker copies from the copy.
    CopiesFromCopy,
    /// The lead changes while the document is marked.
    FlipsMarked,
    /// The lead changes before the log is read to its end.
    FlipsUnread,
    /// Marks are looked at before it is known that the log is read to its end.
    MarksBeforeLog,
    /// The lead changes whatever the control row says by then.
    FlipsBlindly,
    /// The lead changes while a write is on its way.
    FlipsInFlight,
    /// Nobody waits until all servers know of the change.
    NoLeaseWait,
    /// A server answers by what it knew, though its lease has ended.
    TrustsOldLease,
    /// Where a request goes is decided by chance.
    SharesByRequest,
    /// The lead changes without a fence beside the old store.
    NoFence,
    /// The fence counts as written when it names the new store, whatever its epoch.
    FenceOfAnyEpoch,
    /// The fence is opened before the old store leads again.
    OpensFenceEarly,
    /// A driver writes its fence though that of a later epoch is there.
    FencesBackwards,
    /// A driver writes the fence whatever it holds.
    FencesBlindly,
    /// A server that does not reach the new store leaves no note.
    NoNote,
    /// It looks at the fence before its note is there.
    FenceBeforeNote,
    /// It does not look at the fence at all.
    IgnoresFence,
    /// The lead changes before the notes are taken up.
    FlipsWithNotes,
    /// Notes are thrown away.
    DropsNotes,
    /// Who reads the copy does not look for intents.
    ReadsOverIntents,
    /// Who reads the copy does not look for the mark.
    ReadsOverMark,
    /// Who reads the copy looks for the mark before it looks for intents.
    MarkBeforeIntents,
    /// Who reads the copy reads it before it looks whether it is known to be the same.
    CopyBeforeMark,
    /// The fence lets notes pass where reads go to the copy.
    NotesUnderReads,
    /// The fence is set after reads go to the copy.
    FencesReadsLate,
    /// Reads go to the copy before the notes are taken up.
    ReadsOverNotes,
    /// A write to the old database by itself leaves nothing in its log.
    NoOldLog,
    /// Writes are stopped before outsiders are kept out.
    DrainsWithOutsiders,
    /// What outsiders wrote is looked for before they are kept out.
    LooksBeforeKeepingOut,
    /// What outsiders wrote is not looked for.
    NoLookAtOutsiders,
    /// Outsiders are let in whoever leads.
    LetsInUnasked,
    /// Outsiders are let in by somebody who asked who leads before they were seen to be kept out.
    AsksBeforeSeeing,
    /// Outsiders are let in though they were kept out anew since.
    LetsInBlindly,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 47] = [
        Self::NothingBeforeWrite,
        Self::NoLog,
        Self::ReadsLogUnderAnyLead,
        Self::NoIntent,
        Self::CompletesSilently,
        Self::LapsesSilently,
        Self::NoDeadlineOnWrites,
        Self::NoDeadlineOnCopies,
        Self::WritesBlindly,
        Self::AnswersEarly,
        Self::ClearsWithoutLook,
        Self::NoToken,
        Self::CopiesUnderAnyLead,
        Self::LooksAfterLead,
        Self::CopiesFromCopy,
        Self::FlipsMarked,
        Self::FlipsUnread,
        Self::MarksBeforeLog,
        Self::FlipsBlindly,
        Self::FlipsInFlight,
        Self::NoLeaseWait,
        Self::TrustsOldLease,
        Self::SharesByRequest,
        Self::NoFence,
        Self::FenceOfAnyEpoch,
        Self::OpensFenceEarly,
        Self::FencesBackwards,
        Self::FencesBlindly,
        Self::NoNote,
        Self::FenceBeforeNote,
        Self::IgnoresFence,
        Self::FlipsWithNotes,
        Self::DropsNotes,
        Self::ReadsOverIntents,
        Self::ReadsOverMark,
        Self::MarkBeforeIntents,
        Self::CopyBeforeMark,
        Self::NotesUnderReads,
        Self::FencesReadsLate,
        Self::ReadsOverNotes,
        Self::NoOldLog,
        Self::DrainsWithOutsiders,
        Self::LooksBeforeKeepingOut,
        Self::NoLookAtOutsiders,
        Self::LetsInUnasked,
        Self::AsksBeforeSeeing,
        Self::LetsInBlindly,
    ];

    /// Whether the rule is one of outsiders, so that only worlds between databases can miss it.
    #[must_use]
    pub const fn is_of_outsiders(self) -> bool {
        matches!(
            self,
            Self::NoOldLog
                | Self::DrainsWithOutsiders
                | Self::LooksBeforeKeepingOut
                | Self::NoLookAtOutsiders
                | Self::LetsInUnasked
                | Self::AsksBeforeSeeing
                | Self::LetsInBlindly
        )
    }

    /// Whether the rule is one of reads from the copy, so that only worlds with these can miss it.
    #[must_use]
    pub const fn is_of_reads(self) -> bool {
        matches!(
            self,
            Self::ReadsOverIntents
                | Self::ReadsOverMark
                | Self::MarkBeforeIntents
                | Self::CopyBeforeMark
                | Self::NotesUnderReads
                | Self::FencesReadsLate
                | Self::ReadsOverNotes
        )
    }
}
