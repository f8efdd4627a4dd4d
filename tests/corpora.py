"""Miniature corpora: real files under the names, in the folders and among the oddities of the real corpora."""

import functools
import io
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np
import soundfile
from mocap_files import write_bvh
from skimage.data import astronaut

from lgrin import datasets
from lgrin.features import Extractor, FaceLandmarks, Mocap, OpenFace, Speech

NTSC = Fraction(30_000, 1001)
FACES = (True, False, True)  # in which frames of a video or a table of landmarks there is one


def write(path, length=3, rate=25):
    """Writes a recording of the kind that its ending says; videos always have 3 frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(length)
    match path.suffix.lower():
        case ".avi" | ".mp4":
            path.write_bytes(video(path.suffix[1:].lower(), rate))
        case ".wav":
            soundfile.write(path, random.normal(0, 0.1, 400 + 160 * (length - 1)), 16_000)
        case ".bvh":  # the reference pose comes first
            write_bvh(path, np.concatenate([np.zeros((1, 72)), random.normal(0, 10, (length, 72)).cumsum(0)]))
        case ".csv":
            path.write_text(openface_table(length, rate))
    return path


@functools.cache
def video(container, rate, faces=FACES):
    """A video with a face in some of its frames."""
    face, buffer = np.ascontiguousarray(astronaut()[:256, 96:352]), io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        stream = file.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 256, 256, "yuv420p"
        for there in faces:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(face if there else np.zeros_like(face))))
        file.mux(stream.encode())
    return buffer.getvalue()


def openface_table(length, rate):
    """Landmarks as OpenFace writes them, without a column of success, as in those that RAVDESS's authors publish."""
    points = [f"{axis}_{point}" for axis in "xy" for point in range(68)]
    lines = [", ".join(["frame", "face_id", "timestamp", "confidence", *points, "AU01_r"])]
    for frame in range(length):
        there = frame >= len(FACES) or FACES[frame]
        values = np.random.default_rng(frame).uniform(200, 900, 137) * there
        row = [frame + 1, 0, frame / float(rate), 0.98 * there, *values]
        lines.append(", ".join(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row))
    return "\n".join(lines) + "\n"


def cut_short(path):
    write(path, length=5)
    path.write_bytes(path.read_bytes()[:-200])


def no_face(path):
    path.write_bytes(video(path.suffix[1:], 25, faces=(False, False)))


def empty(path):
    path.write_bytes(b"")


def silent(path):
    soundfile.write(path, np.zeros(16_000), 16_000)


def other_format(path):
    path.write_text("path,label\nclip.wav,angry\n" * 20)


def evaluation(**turns):
    """One of IEMOCAP's reports: the majority vote on each turn, and below it what each annotator said."""
    lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n"]
    for number, (turn, emotion) in enumerate(turns.items()):
        lines += [f"[{number}.2901 - {number}.9357]\t{turn}\t{emotion}\t[2.5000, 2.5000, 2.5000]"]
        lines += ["C-E1:\tAnger;\t()", "C-E2:\tNeutral state; Sadness;\t(mostly)", "C-F1:\tFrustration;\t()"]
        lines += ["A-E3:\tval 3; act 2; dom  2;\t()", "A-F1:\tval 2; act 3; dom  1;\t()\n"]
    return "\n".join(lines)


class Corpus(NamedTuple):
    """A corpus and what its dataset has to say of it.

    Attributes:
        dataset: Its class.
        features: What reads it.
        recordings: For each of its files class, group and sentence.
        classes: All of them, in the order of their labels.
        num_frames: M.
        num_features: P.
        frame_rate: Of its files.
        broken: Where a broken file is put, what breaks it and what is said of it.
        unwanted: Files that could be read, but are not asked for.
        others: Other files and their content.
    """

    dataset: type[datasets.RecordingDataset]
    features: Extractor
    recordings: dict[str, tuple[str, str, str | None]]
    classes: str
    num_frames: int
    num_features: int
    frame_rate: float | Fraction
    broken: tuple[str, Callable, str]
    unwanted: tuple[str, ...] = ()
    others: dict[str, str] = {}  # noqa: RUF012

    def make(self, root):
        for name, length in self.lengths().items():
            write(root / name, length, self.frame_rate)
        for name in self.unwanted:
            write(root / name, 3, self.frame_rate)
        for name, content in {**self.others, "._notes.txt": "Mac OS X", "Thumbs.db": "Windows"}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content)
        return root

    def spoil(self, root):
        """Adds the broken file."""
        name, how, reason = self.broken
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        how(root / name)
        return name, reason

    def lengths(self):
        """How many frames each file has."""
        is_video = isinstance(self.features, FaceLandmarks)
        return {name: 3 if is_video else 4 + number for number, name in enumerate(self.recordings)}


LANDMARKS = FaceLandmarks("dlib")
RAVDESS_CLASSES = "neutral calm happy sad angry fearful disgust surprised"
WAV = "sentences/wav"

EMODB = Corpus(
    datasets.EmoDB,
    Speech(),
    {
        "wav/03a01Fa.wav": ("joy", "03", "a01"),
        "wav/03a01Wa.wav": ("anger", "03", "a01"),
        "wav/08b10Lb.wav": ("boredom", "08", "b10"),
        "wav/09a04Ed.wav": ("disgust", "09", "a04"),
        "wav/11b02As.wav": ("fear", "11", "b02"),
        "wav/16a07Tb.wav": ("sadness", "16", "a07"),
        "wav/16b03Nb.wav": ("neutral", "16", "b03"),
    },
    "anger boredom disgust fear joy sadness neutral",
    num_frames=120,
    num_features=34,
    frame_rate=100,
    broken=("wav/16b10Wb.wav", cut_short, "cut short"),
    unwanted=("silence/03a01Nc.wav",),
    others={"lablaut/03a01Fa.lablaut": "0.1 -", "erklaerung.txt": "Informationen"},
)
RML = Corpus(
    datasets.RML,
    LANDMARKS,
    {
        "s1/an1.avi": ("anger", "s1", None),
        "s1/di2.avi": ("disgust", "s1", None),
        "s3/f1eng/fe1.avi": ("fear", "s3", None),
        "rml-1/s4/m2chi/ha10.avi": ("happiness", "s4", None),
        "rml-2/s8/f2ita/sa3.avi": ("sadness", "s8", None),
        "rml-2/s8/f2ita/su4.avi": ("surprise", "s8", None),
    },
    "anger disgust fear happiness sadness surprise",
    num_frames=90,
    num_features=136,
    frame_rate=30,
    broken=("s3/f1eng/an1.avi", cut_short, "cut short"),
    unwanted=("s1/._an1.avi", ".Trashes/s1/an9.avi", "trailer.avi"),
    others={"s1/Thumbs.db": "", "readme.txt": "RML"},
)
ENTERFACE05 = Corpus(
    datasets.ENTERFACE05,
    LANDMARKS,
    {
        "subject 1/anger/sentence 1/s1_an_1.avi": ("anger", "01", "anger 1"),
        "subject 1/disgust/sentence 5/s1_di_5.avi": ("disgust", "01", "disgust 5"),
        "subject 11/fear/sentence 2/s12_fe_2.avi": ("fear", "11", "fear 2"),
        "subject 23/happiness/sentence 3/s23_ha3.avi": ("happiness", "23", "happiness 3"),
        "enterface database/subject 38/sadness/sentence 4/s38_sd_4.avi": ("sadness", "38", "sadness 4"),
        "enterface database/subject 43/surprise/sentence 1/s_43_su_1.avi": ("surprise", "43", "surprise 1"),
    },
    "anger disgust fear happiness sadness surprise",
    num_frames=90,
    num_features=136,
    frame_rate=25,
    broken=("subject 1/anger/sentence 2/s1_an_2.avi", no_face, "no face was found in any of its 2 frames"),
    unwanted=("subject 6/anger/s6_an.avi", "subject 6/fear.avi", "subject 1/anger/sentence 1/._s1_an_1.avi"),
    others={"subject 1/anger/sentence 1/Thumbs.db": "", "enterface database/subject 43/Thumbs.db": ""},
)
MPI = Corpus(
    datasets.MPIBodyExpressions,
    Mocap(joints=23, skip=1),
    {
        "AnBh_0208_ftf_wd_t3-002_91_560809_563542_2733_Anger.bvh": ("anger", "AnBh", None),
        "t1.5_DiMi_0309_fst_12_100_200_100_pride.bvh": ("pride", "DiMi", None),
        "Session2_HeGa_0412_t1-001_7_1_2_1_Amusement.bvh": ("amusement", "HeGa", None),
        "session 2/LeSt_Neutral_0112.bvh": ("neutral", "LeSt", None),
        "session 2/mama_0112_SHAME.bvh": ("shame", "MaMa", None),
        "Sinead_0112_t1_Relief.bvh": ("relief", "SiGl", None),
    },
    "amusement anger disgust fear joy neutral pride relief sadness shame surprise",
    num_frames=120,
    num_features=72,
    frame_rate=120,
    broken=("NoVo_0208_Sadness.bvh", cut_short, "cannot be read as BVH"),
    unwanted=("._PaPi_0208_Joy.bvh",),
    others={"ratings.csv": "file,emotion"},
)
IEMOCAP = Corpus(
    datasets.IEMOCAP,
    Speech(),
    {
        f"Session1/{WAV}/Ses01F_impro01/Ses01F_impro01_F000.wav": ("neutral", "1", None),
        f"Session1/{WAV}/Ses01F_impro01/Ses01F_impro01_M000.wav": ("angry", "1", None),
        f"Session1/{WAV}/Ses01M_script01_1b/Ses01M_script01_1b_F002.wav": ("happy", "1", None),
        f"Session5/{WAV}/Ses05F_script03_2/Ses05F_script03_2_MXX0.wav": ("happy", "5", None),
        f"Session5/{WAV}/Ses05M_impro04/Ses05M_impro04_F011.wav": ("sad", "5", None),
    },
    "angry neutral happy sad",
    num_frames=120,
    num_features=35,
    frame_rate=100,
    broken=(f"Session5/{WAV}/Ses05M_impro04/Ses05M_impro04_M012.wav", other_format, "cannot be read as audio"),
    unwanted=(
        f"Session1/{WAV}/Ses01F_impro01/Ses01F_impro01_F001.wav",
        f"Session1/{WAV}/Ses01F_impro01/Ses01F_impro01_M001.wav",
        f"Session1/{WAV}/Ses01F_impro01/._Ses01F_impro01_F000.wav",
        "Session1/dialog/wav/Ses01F_impro01.wav",
    ),
    others={
        "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt": evaluation(
            Ses01F_impro01_F000="neu", Ses01F_impro01_F001="fru", Ses01F_impro01_M000="ang", Ses01F_impro01_M001="xxx"
        ),
        "Session1/dialog/EmoEvaluation/._Ses01F_impro01.txt": evaluation(Ses01F_impro01_F000="sad"),
        "Session1/dialog/EmoEvaluation/Ses01M_script01_1b.txt": evaluation(Ses01M_script01_1b_F002="exc"),
        "Session1/dialog/EmoEvaluation/Categorical/Ses01F_impro01_e1_cat.txt": "Ses01F_impro01_F000 :Anger; ()\n",
        "Session5/dialog/EmoEvaluation/Ses05F_script03_2.txt": evaluation(Ses05F_script03_2_MXX0="hap"),
        "Session5/dialog/EmoEvaluation/Ses05M_impro04.txt": evaluation(
            Ses05M_impro04_F011="sad", Ses05M_impro04_M012="neu"
        ),
    },
)
RAVDESS_VIDEOS = Corpus(
    datasets.RAVDESS,
    LANDMARKS,
    {
        "Actor_01/01-01-01-01-01-01-01.mp4": ("neutral", "01", "kids"),
        "Actor_01/01-01-06-02-02-01-01.mp4": ("fearful", "01", "dogs"),
        "Actor_01/01-02-02-01-01-02-01.mp4": ("calm", "01", "kids"),
        "Actor_18/01-01-08-01-02-01-18.mp4": ("surprised", "18", "dogs"),
        "Video_Speech_Actor_24/Actor_24/01-01-07-01-01-01-24.mp4": ("disgust", "24", "kids"),
    },
    RAVDESS_CLASSES,
    num_frames=90,
    num_features=136,
    frame_rate=NTSC,
    broken=("Actor_01/01-01-03-01-01-01-01.mp4", empty, "it is empty"),
    unwanted=("Actor_01/02-01-06-02-02-01-01.mp4", "Actor_01/02-02-02-01-01-02-01.mp4", "Actor_01/03-01-01.wav"),
)
RAVDESS_LANDMARKS = RAVDESS_VIDEOS._replace(
    features=OpenFace(),
    recordings={
        "FacialTracking_Actor_01/01-01-05-02-01-01-01.csv": ("angry", "01", "kids"),
        "FacialTracking_Actor_01/01-02-04-01-02-01-01.csv": ("sad", "01", "dogs"),
        "FacialTracking_Actor_02/01-01-03-01-01-02-02.csv": ("happy", "02", "kids"),
    },
    broken=("FacialTracking_Actor_02/01-01-04-01-01-02-02.csv", other_format, "it lacks frame"),
    unwanted=("Actor_01/01-01-01-01-01-01-01.mp4",),
)
RAVDESS_SOUND = RAVDESS_VIDEOS._replace(
    features=Speech(),
    recordings={
        "Actor_01/03-01-05-02-01-01-01.wav": ("angry", "01", "kids"),
        "Actor_01/03-02-04-01-02-01-01.wav": ("sad", "01", "dogs"),
        "Actor_02/03-01-03-01-01-02-02.wav": ("happy", "02", "kids"),
    },
    num_features=34,
    frame_rate=100,
    broken=("Actor_02/03-01-04-01-01-02-02.wav", silent, "it is silent"),
    unwanted=("Actor_01/01-01-01-01-01-01-01.mp4", "Actor_02/._03-01-03-01-01-02-02.wav"),
)
CORPORA = {
    "EmoDB": EMODB,
    "RML": RML,
    "ENTERFACE05": ENTERFACE05,
    "MPIBodyExpressions": MPI,
    "IEMOCAP": IEMOCAP,
    "RAVDESS videos": RAVDESS_VIDEOS,
    "RAVDESS landmarks": RAVDESS_LANDMARKS,
    "RAVDESS sound": RAVDESS_SOUND,
}
