//! What the pages say, in English and German. An app can add languages, and change any text.
//!
//! Texts are plain: what stands in braces is filled in, everything is escaped.

use std::borrow::Cow;
use std::sync::Arc;

macro_rules! texts {
    ($($name:ident: $english:literal, $german:literal;)+) => {
        /// A text of the pages. Its English and German wording say what it is for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[expect(missing_docs, reason = "each is explained by its wording")]
        pub enum Text { $($name,)+ }

        impl Text {
            /// All of them, for those who translate.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// In English.
            pub const fn english(self) -> &'static str {
                match self { $(Self::$name => $english,)+ }
            }

            /// In German.
            pub const fn german(self) -> &'static str {
                match self { $(Self::$name => $german,)+ }
            }
        }
    };
}

texts! {
    // Around every page.
    SkipToContent: "Skip to content", "Zum Inhalt springen";
    Navigation: "Pages", "Seiten";
    BackToApp: "Back to {app}", "Zurück zu {app}";
    YourConnection: "Your connection", "Ihre Verbindung";
    YourFiles: "Your files", "Ihre Dateien";
    Problem: "That did not work", "Das hat nicht geklappt";
    Cancel: "Cancel", "Abbrechen";
    DecimalMark: ".", ",";
    Unknown: "unknown", "unbekannt";

    // The member's page.
    WelcomeTitle: "{app} and Open Humans", "{app} und Open Humans";
    WelcomeText: "Connect your Open Humans account to use your own data here. You decide what is shared, and you can end the connection at any time.", "Verbinden Sie Ihr Konto bei Open Humans, um Ihre eigenen Daten hier zu nutzen. Sie entscheiden, was geteilt wird, und können die Verbindung jederzeit beenden.";
    LogIn: "Log in with Open Humans", "Mit Open Humans anmelden";
    LogInTitle: "Log in", "Anmelden";
    LogInAsked: "Another site has led you here. Log in only if you meant to.", "Eine andere Seite hat Sie hierher geführt. Melden Sie sich nur an, wenn Sie das wollten.";
    ConnectedAs: "Connected as", "Verbunden als";
    ConnectedSince: "Connected since", "Verbunden seit";
    MemberId: "Your id in this project", "Ihre Kennung in diesem Projekt";
    NameNotShared: "a member who keeps the username private", "ein Mitglied, das den Benutzernamen nicht teilt";
    Shared: "What you share", "Was Sie teilen";
    SharedText: "{app} can read its own files, and those of these sources:", "{app} kann die eigenen Dateien lesen und die dieser Quellen:";
    SharedNothing: "{app} can read the files it has itself put into your account, and no others.", "{app} kann die Dateien lesen, die es selbst in Ihr Konto gelegt hat, und keine anderen.";
    SharedUnknown: "Open Humans could not be asked what you share. Please look again in a few minutes.", "Open Humans konnte nicht gefragt werden, was Sie teilen. Bitte schauen Sie in einigen Minuten wieder nach.";
    ChangeAtOpenHumans: "See and change it at Open Humans", "Bei Open Humans ansehen und ändern";
    LogOut: "Log out", "Abmelden";
    LogOutText: "The connection stays. You can log in again at any time.", "Die Verbindung bleibt bestehen. Sie können sich jederzeit wieder anmelden.";
    Leave: "Leave {app}", "{app} verlassen";
    LeaveText: "End the connection, and decide what becomes of your data here.", "Die Verbindung beenden und entscheiden, was hier mit Ihren Daten geschieht.";
    Disconnect: "Disconnect", "Verbindung trennen";

    // Disconnecting.
    DisconnectTitle: "Disconnect {app} from Open Humans?", "{app} von Open Humans trennen?";
    DisconnectText: "{app} will no longer be able to read or write anything in your Open Humans account. You will be logged out here.", "{app} kann dann in Ihrem Konto bei Open Humans nichts mehr lesen oder schreiben. Sie werden hier abgemeldet.";
    DataHere: "Your data at {app}", "Ihre Daten bei {app}";
    EraseData: "Erase them", "Löschen";
    EraseDataText: "Everything that {app} keeps about you is deleted. This cannot be undone.", "Alles, was {app} über Sie gespeichert hat, wird gelöscht. Das lässt sich nicht rückgängig machen.";
    KeepData: "Keep them", "Behalten";
    KeepDataText: "They stay here in case you come back. You can ask for their erasure later.", "Sie bleiben hier, falls Sie wiederkommen. Sie können ihre Löschung später verlangen.";

    // Files.
    FilesText: "Files in your Open Humans account that {app} can read.", "Dateien in Ihrem Konto bei Open Humans, die {app} lesen kann.";
    NoFiles: "There are no files yet.", "Es gibt noch keine Dateien.";
    FileName: "Name", "Name";
    FileSize: "Size", "Größe";
    FileType: "Type", "Art";
    FileTags: "Tags", "Schlagwörter";
    FileDate: "Added", "Hinzugefügt";
    FileActions: "Actions", "Aktionen";
    FileDescription: "Description", "Beschreibung";
    FromAnotherSource: "from another source, shared with {app}", "aus einer anderen Quelle, mit {app} geteilt";
    Download: "Download", "Herunterladen";
    Edit: "Edit", "Bearbeiten";
    Delete: "Delete", "Löschen";
    OfFile: "{action}: {file}", "{file}: {action}";
    MoreFiles: "Page {page} of {pages}", "Seite {page} von {pages}";
    NextPage: "Next", "Weiter";
    PreviousPage: "Previous", "Zurück";
    FileCount: "{count} files", "{count} Dateien";
    OneFile: "1 file", "1 Datei";
    UploadTitle: "Add a file", "Datei hinzufügen";
    UploadText: "It is stored in your Open Humans account.", "Sie wird in Ihrem Konto bei Open Humans gespeichert.";
    ChooseFile: "File", "Datei";
    DescriptionHint: "What is in it, in a few words.", "Was enthalten ist, in wenigen Worten.";
    TagsHint: "Separated by commas.", "Durch Kommas getrennt.";
    Upload: "Upload", "Hochladen";
    Uploading: "Uploading: {percent} %", "Wird hochgeladen: {percent} %";
    UploadStoring: "Open Humans is storing the file.", "Open Humans speichert die Datei.";
    UploadBroken: "The upload broke off. Please try again.", "Das Hochladen wurde unterbrochen. Bitte versuchen Sie es noch einmal.";
    EditTitle: "Edit {file}", "{file} bearbeiten";
    EditText: "Open Humans cannot change what is said of a file, so the file is stored anew and the old one deleted. Its contents stay as they are.", "Open Humans kann die Angaben zu einer Datei nicht ändern. Die Datei wird deshalb neu gespeichert und die alte gelöscht. Ihr Inhalt bleibt, wie er ist.";
    Save: "Save", "Speichern";
    DeleteTitle: "Delete {file}?", "{file} löschen?";
    DeleteText: "It is deleted from your Open Humans account. This cannot be undone.", "Sie wird aus Ihrem Konto bei Open Humans gelöscht. Das lässt sich nicht rückgängig machen.";
    DeleteAll: "Delete all", "Alle löschen";
    DeleteAllTitle: "Delete all files of {app}?", "Alle Dateien von {app} löschen?";
    DeleteAllText: "{count} that {app} has put into your Open Humans account are deleted. Files of other sources stay. This cannot be undone.", "{count}, die {app} in Ihr Konto bei Open Humans gelegt hat, werden gelöscht. Dateien anderer Quellen bleiben. Das lässt sich nicht rückgängig machen.";

    // What came of it.
    DoneUploaded: "The file was uploaded.", "Die Datei wurde hochgeladen.";
    DoneEdited: "Your changes were saved.", "Ihre Änderungen wurden gespeichert.";
    DoneEditedTwice: "Your changes were saved in a new file, but the old one could not be deleted. Please delete it yourself.", "Ihre Änderungen wurden in einer neuen Datei gespeichert, aber die alte konnte nicht gelöscht werden. Bitte löschen Sie sie selbst.";
    DoneDeleted: "The file was deleted.", "Die Datei wurde gelöscht.";
    DoneDeletedAll: "All files of this app were deleted.", "Alle Dateien dieser App wurden gelöscht.";
    DoneDisconnected: "The connection was ended. Your data here are kept.", "Die Verbindung wurde getrennt. Ihre Daten hier bleiben erhalten.";
    DoneErasing: "The connection was ended, and your data here are being erased.", "Die Verbindung wurde getrennt, und Ihre Daten hier werden gelöscht.";
    DoneReleased: "The event is released.", "Das Ereignis ist freigegeben.";
    DoneReleasedAll: "All events that were held are released.", "Alle angehaltenen Ereignisse sind freigegeben.";
    DoneRequeued: "The event is in the queue again.", "Das Ereignis ist wieder in der Warteschlange.";

    // Problems.
    ElsewhereProblem: "The request did not come from a page of this app, so nothing was done.", "Die Anfrage kam nicht von einer Seite dieser App, deshalb wurde nichts getan.";
    NotFoundProblem: "There is no such page.", "Diese Seite gibt es nicht.";
    NoSuchFileProblem: "There is no such file, or it is no longer shared.", "Diese Datei gibt es nicht, oder sie wird nicht mehr geteilt.";
    NotOwnFileProblem: "This file comes from another source, so it can be changed only there.", "Diese Datei stammt aus einer anderen Quelle und kann nur dort geändert werden.";
    NoFileProblem: "No file was chosen.", "Es wurde keine Datei ausgewählt.";
    EmptyFileProblem: "The file is empty.", "Die Datei ist leer.";
    TooLargeProblem: "That is too large.", "Das ist zu groß.";
    FormProblem: "The form could not be read.", "Das Formular konnte nicht gelesen werden.";
    InputProblem: "Open Humans cannot take this: {why}.", "Open Humans kann das nicht annehmen: {why}.";
    LeftProblem: "You are no longer connected. Please log in again.", "Sie sind nicht mehr verbunden. Bitte melden Sie sich wieder an.";
    SlowProblem: "Open Humans did not answer in time. Please try again.", "Open Humans hat nicht rechtzeitig geantwortet. Bitte versuchen Sie es noch einmal.";
    OpenHumansProblem: "Open Humans did not answer as it should. Please try again in a few minutes.", "Open Humans hat nicht wie erwartet geantwortet. Bitte versuchen Sie es in einigen Minuten wieder.";
    StoreProblem: "Something is not working here. Please try again in a few minutes.", "Hier funktioniert gerade etwas nicht. Bitte versuchen Sie es in einigen Minuten wieder.";
    StaffOnlyProblem: "This page is for the staff of {app}.", "Diese Seite ist für das Personal von {app}.";

    // Logins that failed.
    TryAgain: "Try again", "Noch einmal versuchen";
    RefusedTitle: "You were not logged in", "Sie wurden nicht angemeldet";
    RefusedText: "You chose not to authorize {app} at Open Humans. Nothing was shared.", "Sie haben {app} bei Open Humans nicht autorisiert. Es wurde nichts geteilt.";
    IncompleteTitle: "That link is incomplete", "Dieser Link ist unvollständig";
    IncompleteText: "This address is where Open Humans sends you back after a login. It does not work on its own.", "An diese Adresse schickt Open Humans Sie nach einer Anmeldung zurück. Allein funktioniert sie nicht.";
    StateMissingTitle: "No login is under way here", "Hier läuft keine Anmeldung";
    StateMissingText: "The login was begun in another browser, or this browser did not keep its cookie. Please allow cookies for this site and log in again.", "Die Anmeldung wurde in einem anderen Browser begonnen, oder dieser Browser hat ihr Cookie nicht behalten. Bitte erlauben Sie Cookies für diese Seite und melden Sie sich noch einmal an.";
    StateMismatchTitle: "That login is not from this browser", "Diese Anmeldung ist nicht aus diesem Browser";
    StateMismatchText: "For your safety a login can only be completed in the browser that began it.", "Zu Ihrer Sicherheit kann eine Anmeldung nur in dem Browser abgeschlossen werden, in dem sie begann.";
    ExpiredTitle: "The login took too long", "Die Anmeldung hat zu lange gedauert";
    ExpiredText: "A login has to be completed within half an hour.", "Eine Anmeldung muss innerhalb einer halben Stunde abgeschlossen werden.";
    CodeExpiredText: "Open Humans no longer accepts this authorization. Please log in again.", "Open Humans nimmt diese Autorisierung nicht mehr an. Bitte melden Sie sich noch einmal an.";
    UsedTitle: "That login was completed before", "Diese Anmeldung wurde schon abgeschlossen";
    UsedText: "Each login works once. Please log in again.", "Jede Anmeldung gilt einmal. Bitte melden Sie sich noch einmal an.";
    NotSetUpTitle: "{app} is not set up correctly", "{app} ist nicht richtig eingerichtet";
    NotSetUpText: "Open Humans does not accept the credentials of {app}. This is not your fault; the people who run it have to correct it.", "Open Humans nimmt die Zugangsdaten von {app} nicht an. Das liegt nicht an Ihnen; die Betreiber müssen es beheben.";
    StillLeavingTitle: "Please wait a moment", "Bitte warten Sie einen Moment";
    StillLeavingText: "You left this project before, and this app is still seeing to that: it may be deleting what it kept of you. Please log in again in a minute.", "Sie haben dieses Projekt früher verlassen, und die App ist noch damit beschäftigt: Sie löscht vielleicht gerade, was sie von Ihnen hatte. Melden Sie sich bitte in einer Minute noch einmal an.";
    LeftMeanwhileTitle: "Your authorization was withdrawn", "Ihre Autorisierung wurde zurückgezogen";
    LeftMeanwhileText: "You left this project at Open Humans after this login was begun. If you want to come back, please log in again.", "Sie haben dieses Projekt bei Open Humans verlassen, nachdem diese Anmeldung begonnen hatte. Wenn Sie zurückkommen möchten, melden Sie sich bitte noch einmal an.";
    NotAuthorizedTitle: "Open Humans did not authorize this login", "Open Humans hat diese Anmeldung nicht autorisiert";
    NotAuthorizedText: "This is not your fault. Please try again later.", "Das liegt nicht an Ihnen. Bitte versuchen Sie es später wieder.";
    UnreachableTitle: "Open Humans cannot be reached", "Open Humans ist nicht erreichbar";
    LoginStoreTitle: "Something is not working here", "Hier funktioniert gerade etwas nicht";
    LoginStoreText: "Your login could not be saved. Please try again in a few minutes.", "Ihre Anmeldung konnte nicht gespeichert werden. Bitte versuchen Sie es in einigen Minuten wieder.";

    // The desk.
    Desk: "Erasure desk", "Löschungen";
    DeskText: "Members who left, and what was done about it.", "Mitglieder, die gegangen sind, und was daraufhin geschah.";
    Overview: "Overview", "Überblick";
    FindMember: "Find a member", "Mitglied suchen";
    Export: "Export", "Export";
    Pending: "Pending", "Offen";
    Overdue: "Overdue", "Überfällig";
    DeadLetters: "Dead letters", "Unzustellbare";
    DeadLetter: "Dead letter", "Unzustellbar";
    Done: "Done", "Erledigt";
    Stale: "Stale", "Überholt";
    Held: "Quarantined", "Angehalten";
    HeldText: "Not acted on, because it is not to be believed as it stands: more members seem to have left at once than is likely, a wish was told days late, or a member asked here to be erased and could not be removed at Open Humans. The line below says which. A restored backup, or a copy that runs under another client's credentials, makes every member look gone: make sure that this is the right database with the right credentials. Then release what is true.", "Nicht ausgeführt, weil es so nicht zu glauben ist: Mehr Mitglieder scheinen auf einmal gegangen zu sein, als wahrscheinlich ist, ein Wunsch wurde Tage zu spät mitgeteilt, oder ein Mitglied hat hier um Löschung gebeten und konnte bei Open Humans nicht entfernt werden. Die Zeile unten sagt, was davon. Eine zurückgespielte Sicherung oder eine Kopie mit fremden Zugangsdaten lässt alle Mitglieder wie gegangen aussehen: Stellen Sie sicher, dass dies die richtige Datenbank mit den richtigen Zugangsdaten ist. Geben Sie dann frei, was stimmt.";
    Release: "Release", "Freigeben";
    ReleaseAll: "Release all", "Alle freigeben";
    ReleaseAllTitle: "Release all {count} that are held?", "Alle {count} angehaltenen freigeben?";
    ReleaseAllText: "The tokens of these members are destroyed, and their data deleted where the app's policy says so. This cannot be undone.", "Die Tokens dieser Mitglieder werden vernichtet und ihre Daten gelöscht, wo die Regeln der App es vorsehen. Das lässt sich nicht rückgängig machen.";
    ReleaseGone: "It is not held, or not any more.", "Es ist nicht angehalten, oder nicht mehr.";
    All: "All", "Alle";
    PendingText: "Waiting for their turn, being worked on, or waiting for another try.", "Warten, bis sie an der Reihe sind, werden bearbeitet oder warten auf einen weiteren Versuch.";
    OverdueText: "Received more than 30 days ago and not done. The law allows a month for a request to be erased (GDPR Art. 12(3)). Open each one to see what stands in the way: dead letters have to be put back into the queue once the cause is mended; for those that are pending, see whether the worker runs.", "Vor mehr als 30 Tagen eingegangen und nicht erledigt. Das Gesetz lässt einen Monat Zeit (Art. 12 Abs. 3 DSGVO). Öffnen Sie jedes einzelne, um zu sehen, was im Weg steht: Unzustellbare müssen zurück in die Warteschlange, sobald die Ursache behoben ist; bei offenen prüfen Sie, ob der Worker läuft.";
    DeadLettersText: "The app's handler failed too often, so nobody tries any more and the data may still be there. Read the last failure, mend its cause, and put the event back into the queue.", "Der Handler der App ist zu oft gescheitert, deshalb versucht es niemand mehr, und die Daten sind womöglich noch da. Lesen Sie den letzten Fehler, beheben Sie seine Ursache und stellen Sie das Ereignis zurück in die Warteschlange.";
    DoneText: "The app's handler has done its work. Only a pseudonym is left of the member here.", "Der Handler der App hat seine Arbeit getan. Vom Mitglied ist hier nur noch ein Pseudonym übrig.";
    StaleText: "Older than the member's latest authorization: the member came back, so nothing was done.", "Älter als die letzte Autorisierung des Mitglieds: Es kam zurück, deshalb wurde nichts getan.";
    AllText: "Every event, whatever became of it.", "Alle Ereignisse, was auch aus ihnen wurde.";
    NothingHere: "There is nothing here.", "Hier ist nichts.";
    NeedsAttention: "Needs attention", "Braucht Aufmerksamkeit";
    NothingToDo: "Nothing needs your attention.", "Nichts braucht Ihre Aufmerksamkeit.";
    OldestPending: "Oldest pending", "Ältestes offenes";
    RunningNow: "Running now", "Läuft gerade";
    RunningNothing: "Nothing is being worked on.", "Es wird nichts bearbeitet.";
    Background: "Background work", "Hintergrundarbeit";
    Worker: "Worker", "Worker";
    WorkerText: "Acts on what members wish.", "Führt aus, was Mitglieder wünschen.";
    Reconciler: "Reconciler", "Abgleich";
    ReconcilerText: "Finds members who left unannounced.", "Findet Mitglieder, die unangekündigt gegangen sind.";
    Alive: "alive", "läuft";
    Silent: "silent", "schweigt";
    NeverHeard: "not heard of", "nichts gehört";
    AskingNow: "asking now", "fragt gerade";
    LastAsked: "last asked {ago} ago", "zuletzt gefragt vor {ago}";
    SilentText: "If it should be running, see whether the process that starts the background work is up, and what its log says.", "Falls er laufen sollte, prüfen Sie, ob der Prozess mit der Hintergrundarbeit läuft und was sein Protokoll sagt.";
    Sealing: "Proof", "Nachweis";
    SealingText: "The ledger is sealed from time to time: whoever holds a checkpoint can tell later whether a line before it was changed, removed or put in. Give checkpoints to those who check.", "Das Protokoll wird laufend versiegelt: Wer einen Prüfpunkt besitzt, erkennt später, ob eine Zeile davor verändert, entfernt oder eingefügt wurde. Geben Sie Prüfpunkte an die weiter, die prüfen.";
    SealedLines: "{count} lines sealed, {ago} ago", "{count} Zeilen versiegelt, vor {ago}";
    Checkpoint: "The last checkpoint", "Der letzte Prüfpunkt";
    DownloadCheckpoint: "Download the checkpoint", "Prüfpunkt herunterladen";
    NotSealed: "not sealed", "nicht versiegelt";
    NotSealedText: "Nothing was sealed so far. It takes a signing key, which the command oh ledger keygen makes.", "Bisher wurde nichts versiegelt. Dazu braucht es einen Signaturschlüssel, den der Befehl oh ledger keygen erzeugt.";
    NotSealedYetText: "Nothing was sealed so far. The first lines are within a minute, where background work runs.", "Bisher wurde nichts versiegelt. Die ersten Zeilen sind es binnen einer Minute, wo die Hintergrundarbeit läuft.";
    SealingTrouble: "The ledger does not agree with what was sealed", "Das Protokoll stimmt nicht mit dem überein, was versiegelt wurde";
    SealingTroubleText: "If a backup was restored, go on under a new name, with a new key. If not, someone has changed the database.", "Wenn eine Sicherung eingespielt wurde, machen Sie unter einem neuen Namen mit einem neuen Schlüssel weiter. Wenn nicht, hat jemand die Datenbank verändert.";
    HowLong: "How long requests took", "Wie lange Anliegen dauerten";
    HowLongText: "The newest {count} that are done, from receipt to completion.", "Die neuesten {count} erledigten, vom Eingang bis zum Abschluss.";
    Median: "Half of them within", "Die Hälfte innerhalb";
    Most: "95 of 100 within", "95 von 100 innerhalb";
    Longest: "The longest", "Am längsten";
    OverTime: "Events received", "Eingegangene Ereignisse";
    OverTimeText: "The newest {count}, by when they were received; those not done stand out.", "Die neuesten {count}, nach ihrem Eingang; nicht erledigte sind hervorgehoben.";
    TimeToDone: "Time to done", "Zeit bis zur Erledigung";
    TimeToDoneText: "For each span the middle and the longest time, on a scale that grows tenfold.", "Für jeden Abschnitt die mittlere und die längste Zeit, auf einer verzehnfachenden Skala.";
    AsTable: "As a table", "Als Tabelle";
    From: "From", "Ab";
    NotDone: "not done", "nicht erledigt";
    MedianShort: "median", "Median";
    LongestShort: "longest", "längste";
    Received: "Received", "Eingegangen";
    State: "State", "Stand";
    MemberPseudonym: "Member (pseudonym)", "Mitglied (Pseudonym)";
    Wish: "Erasure", "Löschung";
    KnownBy: "Known by", "Bekannt durch";
    Tries: "Tries", "Versuche";
    Took: "Took", "Dauerte";
    Waits: "waiting for {ago}", "wartet seit {ago}";
    Left: "Left", "Gegangen";
    Settled: "Settled", "Abgeschlossen";
    Due: "Next try", "Nächster Versuch";
    Event: "Event", "Ereignis";
    Events: "Events", "Ereignisse";
    Since: "Since", "Seit";
    For: "For", "Dauer";
    Older: "Older", "Ältere";
    Newest: "Newest", "Neueste";
    Requeue: "Put back into the queue", "Zurück in die Warteschlange";
    RequeueGone: "The member's id is gone: another event of the same member is done and made up for this one.", "Die Kennung des Mitglieds ist weg: Ein anderes Ereignis desselben Mitglieds ist erledigt und hat dieses mit erledigt.";
    StaleRequeueText: "Put it back only if the member did not come back after all: it is then acted on although it is older than the authorization.", "Stellen Sie es nur zurück, wenn das Mitglied doch nicht wiedergekommen ist: Es wird dann ausgeführt, obwohl es älter ist als die Autorisierung.";
    History: "What happened", "Was geschah";
    Step: "Step", "Schritt";
    StepReceived: "Received", "Eingegangen";
    StepTokensDestroyed: "Tokens destroyed, sessions ended", "Tokens vernichtet, Sitzungen beendet";
    StepTried: "Handler called", "Handler aufgerufen";
    StepFailed: "Handler failed", "Handler gescheitert";
    StepDone: "Done", "Erledigt";
    StepDeadLettered: "Given up", "Aufgegeben";
    StepRequeued: "Put back into the queue", "Zurück in die Warteschlange gestellt";
    StepHeld: "Quarantined", "Angehalten";
    StepReleased: "Released", "Freigegeben";
    StepStale: "Found stale", "Als überholt erkannt";
    Try: "Try", "Versuch";
    Why: "Why", "Warum";
    When: "When", "Wann";
    FindMemberText: "By project member id, of eight digits, or by pseudonym, of 32. The ledger keeps pseudonyms only.", "Nach Mitgliedskennung aus acht Ziffern oder nach Pseudonym aus 32 Zeichen. Das Protokoll enthält nur Pseudonyme.";
    MemberIdOrPseudonym: "Project member id or pseudonym", "Mitgliedskennung oder Pseudonym";
    Find: "Find", "Suchen";
    NobodyFound: "Nothing is recorded of this member.", "Über dieses Mitglied ist nichts verzeichnet.";
    ShortenedText: "The newest {count} lines; the export has all.", "Die neuesten {count} Zeilen; der Export enthält alle.";
    MoreThan: "more than {count}", "mehr als {count}";
    WishRequested: "asked for", "verlangt";
    WishNotRequested: "not asked for", "nicht verlangt";
    WishUnknown: "unknown", "unbekannt";
    KnownTold: "Open Humans told", "Open Humans teilte es mit";
    KnownFound: "found by asking", "durch Nachfragen";
    KnownLost: "tokens were lost", "Tokens gingen verloren";
    KnownDisconnected: "disconnected here", "hier getrennt";
}

/// A language of the pages: English, with what it has of its own in place of it.
#[derive(Clone)]
pub(crate) struct Language {
    pub(crate) tag: Cow<'static, str>,
    table: Arc<dyn Fn(Text) -> Option<Cow<'static, str>> + Send + Sync>,
}

impl Language {
    pub(crate) fn new(
        tag: impl Into<Cow<'static, str>>,
        table: impl Fn(Text) -> Option<Cow<'static, str>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            tag: tag.into(),
            table: Arc::new(table),
        }
    }

    pub(crate) fn english() -> Self {
        Self::new("en", |_| None)
    }

    pub(crate) fn german() -> Self {
        Self::new("de", |text| Some(text.german().into()))
    }

    pub(crate) fn say(&self, text: Text) -> Cow<'static, str> {
        (self.table)(text).unwrap_or_else(|| text.english().into())
    }

    /// The text with its braces filled in. What is filled in is not looked at again.
    pub(crate) fn fill(&self, text: Text, values: &[(&str, &str)]) -> String {
        let template = self.say(text);
        let mut rest = &*template;
        let mut whole = String::with_capacity(rest.len());
        while let Some((before, after)) = rest.split_once('{') {
            whole.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                whole.push('{');
                rest = after;
                continue;
            };
            match values.iter().find(|(known, _)| *known == name) {
                Some((_, value)) => whole.push_str(value),
                None => {
                    whole.push('{');
                    whole.push_str(name);
                    whole.push('}');
                }
            }
            rest = after;
        }
        whole.push_str(rest);
        whole
    }
}

impl std::fmt::Debug for Language {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Language").field(&self.tag).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn both_languages_fill_in_the_same_things() {
        let braces = |text: &str| -> BTreeSet<String> {
            let parts = text.split('{').skip(1);
            parts
                .map(|part| part.split('}').next().unwrap().to_owned())
                .collect()
        };
        for text in Text::ALL {
            assert_eq!(braces(text.english()), braces(text.german()), "{text:?}");
            assert!(!text.english().is_empty() && !text.german().is_empty());
        }
    }

    #[test]
    fn what_is_filled_in_is_not_filled_in_again() {
        let language = Language::new("x", |_| Some("{app} {what} {".into()));
        let said = language.fill(Text::LogOut, &[("app", "{what}"), ("what", "is")]);
        assert_eq!(said, "{what} is {");
    }

    #[test]
    fn what_a_language_lacks_is_said_in_english() {
        let french = Language::new("fr", |text| match text {
            Text::LogOut => Some("Se déconnecter".into()),
            _ => None,
        });
        assert_eq!(french.say(Text::LogOut), "Se déconnecter");
        assert_eq!(french.say(Text::Upload), "Upload");
    }
}
